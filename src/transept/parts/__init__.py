"""What a Transformer is made of: descriptions and their layers, one idea per file."""
