"""From a model to text: one protocol, several searches."""
