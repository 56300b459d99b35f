"""The run folder: how its files are written and read."""
