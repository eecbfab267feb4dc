"""Where mmengine looks for the registries of the scope ``mammo``; see :mod:`models.registry`."""

from models.registry import HOOKS, METRICS, MODELS, REGISTRIES, SCOPE, TRANSFORMS

__all__ = ['HOOKS', 'METRICS', 'MODELS', 'REGISTRIES', 'SCOPE', 'TRANSFORMS']
