"""The axes of a grid: what each sets, and how its values are written."""
