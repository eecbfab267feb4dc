"""Patient-level statistics and the report: arrays in, numbers and pages out."""
