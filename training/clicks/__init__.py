"""Trains the network that answers clicks and boxes: `python -m training.clicks`."""
