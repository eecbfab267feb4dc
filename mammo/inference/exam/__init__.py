"""What is asked: the images of one exam, checked, and what is known beside them."""
