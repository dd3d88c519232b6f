"""Trains the network that corrects the tracker's fused evidence: `python -m training.tracker`."""
