"""Looks for known holes in the packages of constraints.txt: `python .ci/audit.py`.

Uses pip-audit, from an environment of its own. Ends with 1 where a package has a known hole that
is not listed in .ci/audit-accepted.txt; where pip-audit or its data can't be had, it says so in one
line and ends with 0, since a host without the internet has to be able to run the tests.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PINS = ROOT / "constraints.txt"
ACCEPTED = ROOT / ".ci" / "audit-accepted.txt"
TOOL = "pip-audit==2.10.1"
SECONDS = 180


class Unreachable(Exception):
    """The audit can't be made here, and why."""


def accepted(text: str) -> set[str]:
    """The ids of holes that are known and lived with: one a line, with a reason after `#`."""
    return {line.partition("#")[0].strip() for line in text.splitlines()} - {""}


def holes(report: dict[str, Any], known: set[str]) -> list[str]:
    """A line for each hole of a pip-audit report that is not accepted."""
    lines = []
    for package in report["dependencies"]:
        for hole in package.get("vulns", []):
            if known.isdisjoint({hole["id"], *hole.get("aliases", [])}):
                fixed = ", ".join(hole.get("fix_versions", [])) or "no version yet"
                lines.append(f"{package['name']} {package['version']}: {hole['id']}, fixed in {fixed}")
    return lines


def run_tool(command: Sequence[str], pins: Path) -> dict[str, Any]:
    """pip-audit's report.

    Raises:
        Unreachable: it gave none.
    """
    options = [
        "--format",
        "json",
        "--no-deps",
        "--disable-pip",
        "--progress-spinner",
        "off",
        "--requirement",
        str(pins),
    ]
    try:
        done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=SECONDS, check=False)
        report: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise Unreachable(f"pip-audit took longer than {SECONDS} seconds") from None
    except (OSError, ValueError):
        raise Unreachable("pip-audit gave no report, as where its data can't be reached") from None
    packages = report.get("dependencies") if isinstance(report, dict) else None
    if not packages:
        raise Unreachable("pip-audit's report is not understood")
    # Where the data can't be reached, it may also skip everything and be content.
    skipped = [package["skip_reason"] for package in packages if "skip_reason" in package]
    if len(skipped) * 2 > len(packages):
        raise Unreachable(f"pip-audit skipped {len(skipped)} of {len(packages)} packages: {skipped[0][:300]}")
    return report


def installed(folder: Path) -> list[str]:
    """The command of a pip-audit in an environment of its own.

    Raises:
        Unreachable: it can't be installed.
    """
    try:
        venv.create(folder, with_pip=True)
        python = str(folder / "bin" / "python")
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", TOOL]
        subprocess.run(command, check=True, capture_output=True, timeout=SECONDS)
    except (OSError, subprocess.SubprocessError):
        raise Unreachable("pip-audit can't be installed") from None
    return [python, "-m", "pip_audit"]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tool", nargs="+", help="the command of a pip-audit that is there already")
    parser.add_argument("--pins", type=Path, default=PINS)
    chosen = parser.parse_args(arguments)
    known = accepted(ACCEPTED.read_text(encoding="utf-8")) if ACCEPTED.exists() else set()
    try:
        with tempfile.TemporaryDirectory() as folder:
            report = run_tool(chosen.tool or installed(Path(folder) / "venv"), chosen.pins)
    except Unreachable as why:
        print(f"audit: NOT DONE, {why}. No statement about known holes is made.")
        return 0
    found = holes(report, known)
    skipped = [p for p in report["dependencies"] if "skip_reason" in p]
    checked = len(report["dependencies"]) - len(skipped)
    print("\n".join(f"audit: {line}" for line in found) or f"audit: no known hole in {checked} packages.")
    if skipped:
        print(f"audit: not looked at: {', '.join(p['name'] for p in skipped)}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
