"""Methods: cards that show what each method does."""
