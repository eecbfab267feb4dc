"""What trained networks say of a test set: metrics, predictions, features, ensembles."""
