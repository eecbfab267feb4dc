"""Configs that do what they say."""
