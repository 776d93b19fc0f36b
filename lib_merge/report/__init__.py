"""What can be said of checkpoints and of pairs of them: values first, then text, JSON and pictures."""
