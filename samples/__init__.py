"""Four tiny checkpoints that really draw, and all that made them."""
