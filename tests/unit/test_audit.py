"""The audit of the pins: fails on a known hole, and says so where it can't look."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backend.settings import ROOT

HOLE = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2.0"]}


def audit(tmp_path: Path, report: Any, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the script with a stand-in for pip-audit that prints a report and ends."""
    tool = tmp_path / "tool.py"
    text = report if isinstance(report, str) else json.dumps(report)
    tool.write_text(f"import sys\nprint({text!r})\nsys.exit({code})\n")
    pins = tmp_path / "pins.txt"
    pins.write_text("a==1.0\n")
    command = [sys.executable, str(ROOT / ".ci" / "audit.py"), "--pins", str(pins), "--tool", sys.executable, str(tool)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def package(name: str, *holes: Any) -> dict[str, Any]:
    return {"name": name, "version": "1.0", "vulns": list(holes)}


def test_no_hole(tmp_path: Path) -> None:
    done = audit(tmp_path, {"dependencies": [package("a"), package("b")]})
    assert (done.returncode, done.stdout) == (0, "audit: no known hole in 2 packages.\n")


def test_a_known_hole_fails(tmp_path: Path) -> None:
    done = audit(tmp_path, {"dependencies": [package("a"), package("b", HOLE)]}, 1)
    assert done.returncode == 1
    assert "b 1.0: PYSEC-1, fixed in 2.0" in done.stdout


SKIPPED = {"dependencies": [{"name": "a", "skip_reason": "not found"}, {"name": "b", "skip_reason": "not found"}]}


@pytest.mark.parametrize("report", ["", "no connection", "[]", "{}", SKIPPED])
def test_where_it_can_t_look_it_says_so_and_claims_nothing(tmp_path: Path, report: Any) -> None:
    done = audit(tmp_path, report, 1)
    assert done.returncode == 0
    assert "NOT DONE" in done.stdout
    assert "no known hole" not in done.stdout
