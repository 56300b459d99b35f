"""``ganexp tune``: hyperparameter search with Optuna. Every trial is an ordinary run in its own process."""
