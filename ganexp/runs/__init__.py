"""The run folder: what a run leaves behind, how it is written, and how it is read again."""
