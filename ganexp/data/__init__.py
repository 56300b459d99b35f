"""Data sets: sources yield NumPy arrays, without torch; loaders make batches of them on a device."""
