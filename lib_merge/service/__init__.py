"""Merges, grids and reports, shared by the page, the HTTP API and the command line."""
