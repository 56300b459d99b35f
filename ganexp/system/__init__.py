"""Files, signals, random states and processors. No GAN in here."""
