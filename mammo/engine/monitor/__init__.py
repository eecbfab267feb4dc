"""What a run shows of itself: curves, trackers, and whether the pretraining learns."""

from mammo.engine.monitor.curves import CurvesHook
from mammo.engine.monitor.learning import LearningMonitorHook
from mammo.engine.monitor.progress import ProgressHook
from mammo.engine.monitor.trackers import MLflowTracker, TensorboardTracker, WandbTracker
