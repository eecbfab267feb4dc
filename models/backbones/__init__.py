"""Backbones: the published one, names of weights from elsewhere, and frozen ones run fast."""
