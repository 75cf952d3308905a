"""What enters a model."""
