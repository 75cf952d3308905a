"""One file for each published model, found by its name."""
