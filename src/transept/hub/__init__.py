"""Reading, writing and exchanging model directories."""
