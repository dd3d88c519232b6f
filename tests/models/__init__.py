"""Tests of Meta's package `sam3` itself, shrunk and on the CPU; they need it installed (see `shrunk.py`)."""
