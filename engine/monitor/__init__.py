"""What a run shows of itself: curves, TensorBoard, and whether the pretraining learns."""

from engine.monitor.curves import CurvesHook
from engine.monitor.learning import LearningMonitorHook
from engine.monitor.tensorboard import TensorboardIfInstalled

__all__ = ['CurvesHook', 'LearningMonitorHook', 'TensorboardIfInstalled']
