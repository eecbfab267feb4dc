"""What answers: a folder of plain data, and the networks and fused models in it."""
