"""``ganexp tune``: a search for settings, with Optuna. Every trial is a plain run in a process of its own."""
