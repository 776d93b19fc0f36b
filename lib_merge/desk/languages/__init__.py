"""The texts of the page in other languages than English, a JSON file for each: English text -> translation."""
