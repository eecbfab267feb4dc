"""A study file, and the commands that it stands for."""
