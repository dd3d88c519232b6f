"""The session service behind SAM3 UI: media, engines, workers, sessions and the doors to them."""
