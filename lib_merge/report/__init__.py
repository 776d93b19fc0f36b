"""Reports about checkpoints: similarity of models, checks for damage, and their text, tables and pictures."""
