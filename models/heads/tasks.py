"""The list of tasks of a config, read, and the heads of a model.

list of dict(name, kind, ...) -> configs of heads by task name; model -> heads by task name
"""

from typing import Any

from mmpretrain.utils import get_ori_model
from torch import nn

KINDS = dict(binary='BinaryTaskHead', regression='RegressionTaskHead')
# unit and scale are for answers
TASK_KEYS = ('name', 'kind', 'loss', 'loss_weight', 'standardise', 'unit', 'scale')


def head_configs(tasks: list[dict]) -> dict[str, dict]:
    """The list of tasks -> head configs by task name; head i reads column i.

    Raises:
        ValueError: no name, an unknown kind or key, a name twice, or one that cannot name a module.
    """
    configs: dict[str, dict] = {}
    for i, task in enumerate(tasks):
        name, kind = task.get('name'), task.get('kind')
        if not name or '.' in name or name in configs or hasattr(nn.ModuleDict, name):
            raise ValueError(
                f'tasks[{i}]: name is {name!r}; names are needed, differ, contain no dot, and are not among '
                'the words that torch reserves, such as "type"'
            )
        place = f'tasks[{i}] ({name})'
        if kind not in KINDS:
            raise ValueError(f'{place}: kind is {kind!r}, expected one of {sorted(KINDS)}')
        unknown = [key for key in task if key not in TASK_KEYS]
        if unknown:
            raise ValueError(
                f'{place}: no such key: {", ".join(unknown)}; a task has {", ".join(TASK_KEYS)}. Options of '
                'a loss belong into it: loss=dict(pos_weight=3.0)'
            )
        if kind == 'binary' and task.get('standardise'):
            raise ValueError(f'{place}: standardise is for regression; labels of a binary task are 0 and 1')
        options = ('loss', 'loss_weight', *(['standardise'] if kind == 'regression' else []))
        arguments = {key: task[key] for key in options if key in task}
        configs[name] = dict(type=KINDS[kind], task_idx=i, **arguments)
    return configs


def heads_of(model: Any) -> dict[str, Any]:
    """Heads by task, also of a model in the wrapper of several processes; none of a model without tasks."""
    return dict(getattr(getattr(get_ori_model(model), 'head', None), 'task_heads', {}).items())
