"""Where folds run, and what each says of itself on disk."""
