"""What a run shows of itself: curves, trackers, and whether the pretraining learns."""

from engine.monitor.curves import CurvesHook
from engine.monitor.learning import LearningMonitorHook
from engine.monitor.trackers import MLflowTracker, TensorboardTracker, WandbTracker

__all__ = ['CurvesHook', 'LearningMonitorHook', 'MLflowTracker', 'TensorboardTracker', 'WandbTracker']
