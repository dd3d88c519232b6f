"""REST and WebSocket: thin doors to the session service."""
