"""From a checked configuration to an experiment, and what of it training changes."""
