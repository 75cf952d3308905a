"""What a batch is, what the loss is, what is measured."""
