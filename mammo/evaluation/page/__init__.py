"""The report as files: figures, their data, and one HTML page."""
