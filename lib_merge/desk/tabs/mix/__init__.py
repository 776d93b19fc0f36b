"""Mix: the faders, the pictures and saving."""
