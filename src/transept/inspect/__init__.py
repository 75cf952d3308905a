"""Looking into a model while it runs as it always does."""
