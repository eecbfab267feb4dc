"""Registries of this project: mmpretrain's names, and where ours has the same name, ours.

type of a config -> class, asked with `default_scope = 'mammo'` or by `type='mammo.NAME'`

What is new has a name of its own and is registered with mmpretrain, so that every tool finds it. What
replaces a stock class (``register_module`` of a registry below) is seen in the scope ``mammo`` alone.
"""

from mmengine.registry import Registry
from mmpretrain import registry as stock

SCOPE = 'mammo'


def _child(parent: Registry) -> Registry:
    """A registry of our scope that looks up what it lacks in its parent, and loads what that lists."""
    return Registry(parent.name, scope=SCOPE, parent=parent, locations=parent._locations)


# All of them, since mmengine looks for every part of a run in the one default scope.
REGISTRIES = {name: _child(getattr(stock, name)) for name in stock.__all__}
HOOKS = REGISTRIES['HOOKS']
METRICS = REGISTRIES['METRICS']
MODELS = REGISTRIES['MODELS']
TRANSFORMS = REGISTRIES['TRANSFORMS']
VISUALIZERS = REGISTRIES['VISUALIZERS']
