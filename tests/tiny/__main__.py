"""`python -m tests.tiny FOLDER [KIND]`: write a tiny checkpoint to run the service with.

ENGINE=transformers MODEL_ID=FOLDER then starts it; KIND is "sam3", "sam2" or "edgetam".
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.tiny import KINDS, make_checkpoint


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.tiny", description="Write a tiny random checkpoint.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("kind", nargs="?", choices=KINDS, default="sam3")
    parser.add_argument("--size", type=int, default=112, help="side of the picture the model sees")
    given = parser.parse_args()
    print(make_checkpoint(given.folder, given.kind, given.size))


if __name__ == "__main__":
    main()
