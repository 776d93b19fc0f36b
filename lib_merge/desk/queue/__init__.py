"""The queue of grids and saves, which the tabs Mix and Grid show."""
