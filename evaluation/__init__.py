"""Metrics during training, and patient-level evaluation after it; registers the metrics with mmpretrain."""

from evaluation.metrics import AUC, R2, BinaryCrossEntropy, MSELoss, MultiTasksMetric
from evaluation.writer import PredictionWriter

__all__ = ['AUC', 'R2', 'BinaryCrossEntropy', 'MSELoss', 'MultiTasksMetric', 'PredictionWriter']
