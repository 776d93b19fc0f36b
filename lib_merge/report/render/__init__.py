"""Reports as text, tables, JSON and pictures."""
