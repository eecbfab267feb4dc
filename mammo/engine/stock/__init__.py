"""What the framework's own tools and hooks need to know of models of several tasks."""

from mammo.engine.stock.inferencer import extend_inferencer
from mammo.engine.stock.pictures import UniversalVisualizer
from mammo.engine.stock.tta import AverageTaskTTA
