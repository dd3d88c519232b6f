"""Sessions: a video, a log of edits, and the results they produced."""
