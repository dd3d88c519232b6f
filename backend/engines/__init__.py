"""The engines: one protocol, several implementations, each imported only when it is wanted."""
