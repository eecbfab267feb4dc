"""What a process that only answers loads, and what it can still do."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ('sympy', 'torch._dynamo', 'torch.distributed.fsdp', 'torch.distributed.tensor')
FOR_TRAINING = ('MMFullyShardedDataParallel', 'ZeroRedundancyOptimizer')
SEEN = f"""
import json, sys
from mammo.quick_start import load_networks
load_networks()
seen = dict(heavy=[name for name in {HEAVY!r} if name in sys.modules])

from mmengine.registry import MODEL_WRAPPERS, OPTIMIZERS
for name in {FOR_TRAINING!r}:
    try:
        (MODEL_WRAPPERS.get(name) or OPTIMIZERS.get(name))([])
    except RuntimeError as error:
        seen[name] = str(error)

import torch
from torchvision.ops.roi_align import is_compile_supported
seen['function'] = is_compile_supported('cpu') is torch._dynamo.utils.is_compile_supported('cpu')
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.distributed.optim import ZeroRedundancyOptimizer
seen['classes'] = [FullyShardedDataParallel.__mro__[1].__name__, ZeroRedundancyOptimizer.__mro__[1].__name__]
seen['compiled'] = torch.compile(lambda x: 2 * x, backend='eager')(torch.ones(1)).item()
print(json.dumps(seen))
"""


def printed(code: str) -> Any:
    ended = subprocess.run(
        [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    return json.loads(ended.stdout)


@pytest.fixture(scope='module')
def seen() -> dict[str, Any]:
    return printed(SEEN)


def test_a_process_that_answers_loads_neither_the_compiler_nor_sharded_training(seen: dict) -> None:
    assert seen['heavy'] == []


@pytest.mark.parametrize('name', FOR_TRAINING)
def test_classes_for_training_alone_say_that_they_are_not_there(seen: dict, name: str) -> None:
    assert seen[name].startswith(f'{name} is for training')


def test_what_was_left_out_is_there_for_whoever_asks_for_it(seen: dict) -> None:
    assert seen['function']
    assert seen['classes'] == ['Module', 'Optimizer']
    assert seen['compiled'] == 2


def test_what_was_loaded_before_stays() -> None:
    code = """
import json
import models
from mmengine.registry import MODEL_WRAPPERS
from torch.distributed.fsdp import FullyShardedDataParallel
from mammo.quick_start import load_networks
load_networks()
print(json.dumps(issubclass(MODEL_WRAPPERS.get('MMFullyShardedDataParallel'), FullyShardedDataParallel)))
"""
    assert printed(code)
