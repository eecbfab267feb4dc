"""Necks: a feature map becomes one number per task."""
