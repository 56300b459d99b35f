"""The command line: one file per verb; nothing heavy is imported until a verb needs it."""
