"""Makes the small files that the embedded engine ships: its trained heads. Needs the `test` extra (torch)."""
