"""The latents of a trained generator: what they are, ways through them, and directions in them."""
