"""`python -m benchmarks.load`: see the package."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields

from benchmarks.load.plan import Plan
from benchmarks.load.run import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description="Load a server of its own.")
    for field in fields(Plan):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)
    report = run(Plan(**vars(parser.parse_args())))
    print("\n".join(report.lines()))
    return 1 if report.tally.mistakes else 0


if __name__ == "__main__":
    sys.exit(main())
