"""What a loaded model is used for: one verb a file, in Python what the command line has."""
