"""One exam in, one answer out: models that have left the folder they were trained in."""
