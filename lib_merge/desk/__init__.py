"""The desk: what is shown, what its buttons do, and the tab that a WebUI puts it into."""
