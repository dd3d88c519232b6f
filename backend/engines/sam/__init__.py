"""The engine around a SAM model, whichever package the model comes from."""
