"""`python -m tests.crash --kills 200 --seed 7`: the crash test by hand, with its figures."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.crash.driver import CrashTest
from tests.crash.server import Launcher


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill a server again and again, and see that nothing is lost.")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--fault", default="", help="what the server does wrong; see tests/crash/faults.py")
    parser.add_argument("--folder", type=Path, help="keep the server's data and log there")
    asked = parser.parse_args()
    launcher = Launcher()
    with tempfile.TemporaryDirectory() as temporary:
        test = CrashTest(asked.folder or Path(temporary), launcher, asked.seed, asked.fault, print)
        try:
            print(test.run(asked.kills).table())
        finally:
            launcher.close()


if __name__ == "__main__":
    main()
