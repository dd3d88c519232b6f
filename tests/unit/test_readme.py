"""The README's table of settings is that of the code. `python -m tests.unit.test_readme` rewrites it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from backend.settings import ROOT, Settings

README = ROOT / "README.md"
START, END = "<!-- settings: written by `python -m tests.unit.test_readme` -->\n", "<!-- /settings -->"


ELSEWHERE = {
    "server_host": "on a Space and in the container `0.0.0.0`",
    "tenancy": "on a Space `per-visitor`",
    "frame_ancestors": "on a Space `https://huggingface.co`",
    "trusted_proxies": "on a Space `1`",
    "rate_limit_enabled": "on a Space `true`",
    "max_sessions_per_owner": "on a Space `50`",
    "max_stored_mb_per_owner": "on a Space `5000`",
}
"""Defaults that depend on where it runs."""


def _default(name: str, field: FieldInfo) -> str:
    return "; ".join(filter(None, (_here(field), ELSEWHERE.get(name))))


def _here(field: FieldInfo) -> str:
    value: Any = field.default
    if value is None or value == [] or value == "":
        return ""
    if isinstance(value, list):
        return f"`{os.pathsep.join(_text(item) for item in value)}`"
    return f"`{_text(value)}`"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Path):
        return (value.relative_to(ROOT) if value.is_absolute() else value).as_posix()
    return str(value)


def table() -> str:
    rows = [
        f"| `{name.upper()}` | {_default(name, field)} | {field.description} |\n"
        for name, field in Settings.model_fields.items()
    ]
    return "| Variable | Default | |\n|---|---|---|\n" + "".join(rows)


def test_every_setting_says_what_it_does() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_readme_lists_every_setting_with_its_default() -> None:
    text = README.read_text(encoding="utf-8")
    listed = text[text.index(START) + len(START) : text.index(END)]
    assert listed == table(), "run: python -m tests.unit.test_readme"


def test_what_is_said_of_a_space_is_true() -> None:
    code = (
        "from backend.settings import Settings; s = Settings(_env_file=None);"
        f"print(*[getattr(s, name) for name in {list(ELSEWHERE)}], sep='|')"
    )
    clean = {k: v for k, v in os.environ.items() if k.lower() not in Settings.model_fields}
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean | {"SPACE_ID": "me/sam"}, cwd=ROOT, capture_output=True, text=True
    )
    for found, told in zip(done.stdout.strip().split("|"), ELSEWHERE.values(), strict=True):
        assert found.strip("[]'").lower() == told.split("`")[1]


def rewrite() -> None:
    text = README.read_text(encoding="utf-8")
    head, tail = text[: text.index(START) + len(START)], text[text.index(END) :]
    README.write_text(head + table() + tail, encoding="utf-8")


if __name__ == "__main__":
    rewrite()
