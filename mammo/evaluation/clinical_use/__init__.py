"""Whether a model helps: calibration, thresholds, net benefit, numbers of patients."""
