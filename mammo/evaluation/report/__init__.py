"""An evaluation from files to report.json and pages."""
