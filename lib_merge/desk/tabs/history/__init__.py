"""History: what was merged, and what is pasted or dropped on the page."""
