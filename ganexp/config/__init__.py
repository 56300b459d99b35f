"""Configuration: everything between the command line and the first import of torch."""
