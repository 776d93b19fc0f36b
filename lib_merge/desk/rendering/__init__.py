"""The HTTP API for programs on other machines that merge and draw with this host."""
