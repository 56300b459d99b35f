"""Verbs beside training."""
