"""Predictions of images become one row per patient."""
