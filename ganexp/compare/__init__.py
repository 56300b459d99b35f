"""Compares runs: groups of replicates, statistics over seeds, and reports."""
