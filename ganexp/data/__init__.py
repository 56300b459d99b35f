"""Data: sources yield arrays (without torch), batches put them on a device. Neither knows a game."""
