"""Engines in processes of their own, and the pool that places sessions on them."""
