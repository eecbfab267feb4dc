"""Folds of patients: strata, nested splits, and what they share."""
