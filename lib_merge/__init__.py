"""Merge Desk's library: merges of Stable Diffusion checkpoints that are right to the last bit."""

__version__ = "0.1.0"
