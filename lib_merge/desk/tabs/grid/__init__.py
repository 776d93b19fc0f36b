"""Grid: merges and settings against each other, as a sheet of pictures."""
