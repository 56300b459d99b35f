"""Configuration: composes, validates and explains it, before torch is imported."""
