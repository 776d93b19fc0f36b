"""The tab *Search*: block weights that are found by a score."""
