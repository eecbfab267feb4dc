"""Tables that people bring: cells, numbers, and what their rows are about."""
