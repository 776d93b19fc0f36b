"""Data kept between runs: the history of merges, the user's presets, and the hashes of files."""
