"""Untrusted media in, exact frames out: probing, indexing, reading, storing and writing video."""
