"""With this folder on PYTHONPATH, a Python process that imports `sam3` gets the shrunk one.

So a real server, and the worker process that it starts, run SAM 3 on a CPU.
"""

import importlib.util
from pathlib import Path

_path = Path(__file__).parents[1] / "shrunk.py"
_spec = importlib.util.spec_from_file_location("sam3_shrunk", _path)
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
_module.install()
