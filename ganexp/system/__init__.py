"""Files, signals, RNG states and CPUs: nothing specific to GANs."""
