"""The text form of a recipe: canonical, shorthand, and sums of models."""
