"""From a file to what the model takes."""
