"""Synthetic patients: their truth, their images, their files."""
