"""What there is to preprocess, and whose it is: files, tables, labels, persons."""
