"""Builds an experiment from a validated configuration, and holds the state that training changes."""
