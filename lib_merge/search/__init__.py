"""Searches for the weights of a merge: spaces, studies, scorers. Optuna is the extra `search`."""
