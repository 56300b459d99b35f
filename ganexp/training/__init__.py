"""Builds an experiment from a validated configuration; everything that training changes in it."""
