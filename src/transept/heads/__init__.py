"""What leaves a model."""
