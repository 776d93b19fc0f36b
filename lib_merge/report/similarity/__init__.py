"""Similarity of models, by tensor and by block."""
