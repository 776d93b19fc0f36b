"""The texts of the page in other languages than English, one JSON file each: English text -> translation."""
