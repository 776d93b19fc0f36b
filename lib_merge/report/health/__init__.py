"""Checks of a checkpoint for damage."""
