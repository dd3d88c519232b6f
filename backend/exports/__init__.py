"""Exports: a module for each family of formats, and one registry of them."""
