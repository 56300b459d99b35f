"""ganexp: a laboratory for generative adversarial networks on the command line."""

__version__ = "0.1.0"
