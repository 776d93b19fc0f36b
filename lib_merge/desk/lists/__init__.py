"""The lists above all tabs, and what the page shows for what they say."""
