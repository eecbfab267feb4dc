"""Heads: numbers of the neck become losses and predictions of the tasks."""
