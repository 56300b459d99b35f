"""Comparing runs: groups of them, statistics over their seeds, and a report to read."""
