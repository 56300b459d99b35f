"""Several runs: sweeps, parallel processes, hyperparameter search."""
