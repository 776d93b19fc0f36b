"""Weights: rules, random numbers and Adjust."""
