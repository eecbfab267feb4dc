"""Tests mirror the tree; support/ is what they share, torture/ what only ``make torture`` runs."""
