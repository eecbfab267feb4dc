"""What is seen of the data before the first batch."""
