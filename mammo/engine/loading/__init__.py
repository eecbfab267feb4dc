"""Weights: fetched, loaded without executing anything, converted."""
