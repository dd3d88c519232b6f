"""The measured part of docs/reliability.md.

Long tests `record` their figures in the JSON file that RELIABILITY_REPORT names, where it does;
`python -m tests.report FILE` then writes them into the document, between its two markers.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "reliability.md"
BEGIN = "<!-- measured: written by python -m tests.report -->"
END = "<!-- /measured -->"

Figures = dict[str, int | float | str]


def record(name: str, **figures: int | float | str) -> None:
    """Keep a test's figures; a later run of the same name replaces them, unless it did less of the first figure."""
    target = os.environ.get("RELIABILITY_REPORT")
    if not target:
        return
    path = Path(target)
    known: dict[str, Figures] = json.loads(path.read_text()) if path.exists() else {}
    first = next(iter(figures))
    before = known.get(name, {}).get(first)
    if isinstance(before, int | float) and before > float(figures[first]):
        return
    known[name] = {**figures, "measured": f"{datetime.now(UTC):%Y-%m-%d}"}
    path.write_text(json.dumps(known, indent=1))


def table(results: dict[str, Figures]) -> str:
    """The figures as a Markdown table, a line a test."""
    lines = ["| Test | Measured | When |", "|---|---|---|"]
    for name, figures in sorted(results.items()):
        said = " · ".join(f"{k.replace('_', ' ')} {_number(v)}" for k, v in figures.items() if k != "measured")
        lines.append(f"| {name.replace('_', ' ')} | {said} | {figures.get('measured', '')} |")
    return "\n".join(lines)


def _number(value: float | str) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" if isinstance(value, float) else value


def written(document: str, results: dict[str, Figures]) -> str:
    """The document with the figures between its markers.

    Raises:
        ValueError: it has no markers.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no {BEGIN} … {END}")
    return f"{before}{BEGIN}\n{table(results)}\n{END}{after}"


def main() -> None:
    results = json.loads(Path(sys.argv[1]).read_text())
    DOCUMENT.write_text(written(DOCUMENT.read_text(), results))


if __name__ == "__main__":
    main()
