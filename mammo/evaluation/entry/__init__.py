"""What a report says of one model."""
