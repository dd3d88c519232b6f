"""Writes constraints.txt, requirements.txt and requirements-cpu.txt anew from pyproject.toml: `make lock`.

constraints.txt pins everything that any install of the project takes, all extras together, so that
the same install works next year. requirements.txt is what a GPU host installs, in one file since
Hugging Face Spaces reads no other, and requirements-cpu.txt what a host without one puts in its
place. CUDA's own packages and triton are left out: torch pins them itself.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ("test", "sam3", "transformers", "mcp", "ray")
LEFT_TO_TORCH = re.compile(r"^(nvidia-(?!ml-py)|cuda-)|^triton$")
MARKERS = {"uvloop": "sys_platform != 'win32'"}
"""Packages that do not exist everywhere, and where they do."""


def resolve(requirements: list[str], *options: str) -> dict[str, str]:
    """The version of each package that pip would install into an empty environment."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
        subprocess.run([*command, "--report", str(report), *options, *requirements], check=True)
        found: list[dict[str, Any]] = json.loads(report.read_text())["install"]
    pins = {re.sub(r"[-_.]+", "-", i["metadata"]["name"]).lower(): i["metadata"]["version"] for i in found}
    return {name: pins[name] for name in sorted(pins) if not LEFT_TO_TORCH.match(name)}


def lines(pins: dict[str, str], markers: dict[str, str]) -> str:
    return "".join(f"{n}=={v}" + (f"; {markers[n]}" if n in markers else "") + "\n" for n, v in pins.items())


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    base: list[str] = project["project"]["dependencies"]
    extras: dict[str, list[str]] = project["project"]["optional-dependencies"]
    build: list[str] = project["build-system"]["requires"]
    when = f"resolved on {datetime.now(UTC):%Y-%m-%d} for Linux and Python {sys.version_info[0]}.{sys.version_info[1]}"

    pins = resolve(base + build + [need for extra in EXTRAS for need in extras[extra]])
    constraints = ROOT / "constraints.txt"
    constraints.write_text(f"# Every pin of every install, {when}. Made by `make lock`.\n{lines(pins, {})}")

    files = {
        "requirements.txt": ("What a GPU host installs: the base and Meta's sam3 with all it needs.", extras["sam3"]),
        "requirements-cpu.txt": ("What a CPU host installs; a CPU Space, under the name requirements.txt.", []),
    }
    for name, (head, more) in files.items():
        pinned = lines(resolve(base + more, "--constraint", str(constraints)), MARKERS)
        (ROOT / name).write_text(f"# {head}\n# {when[0].upper()}{when[1:]}. Made by `make lock`.\n{pinned}")


if __name__ == "__main__":
    main()
