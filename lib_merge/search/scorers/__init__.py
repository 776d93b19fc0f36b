"""Scorers: what gives the pictures of a trial their score, and where they are found."""
