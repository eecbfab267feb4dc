"""A constant convolutional network run fast: batch norm, ReLU and sum within convolutions, channels last.

network in eval mode or frozen, images (B, 3, H, W) -> the network's own maps, equal but for rounding

Folded is whatever consists of the layers in :data:`LAYERS` and can be traced, ResNets among it; every other
network runs as it is.
"""

import copy
import ctypes
import functools
import operator
import platform
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from models.backbones.fused_conv import FusedConv, fold_norm

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # glibc's names for mallopt, malloc.h
SAME_IN_TRAINING = (nn.Conv2d, nn.ReLU, nn.MaxPool2d, nn.AvgPool2d, nn.Sequential, nn.Identity)
LAYERS = (nn.Conv2d, _BatchNorm, nn.GroupNorm, nn.ReLU, nn.MaxPool2d, nn.AvgPool2d, nn.Identity)


class FoldedNetwork:
    """Calls a network through a folded copy while it is constant, and as it is otherwise.

    The copy is no submodule: parameters, state dict and training are those of the network. It is made
    anew when a weight has changed. Under autocast it runs in autocast's type.

    Args:
        compiled: pass the copy through :func:`torch.compile`.
    """

    def __init__(self, *, compiled: bool = False) -> None:
        self.compiled = compiled
        self.clear()

    def clear(self) -> None:
        """Forget the folded copies; the next call makes them anew."""
        self._made_from: tuple = ()
        self._copies: dict[torch.dtype, Any] = {}

    def __call__(self, network: nn.Module, images: Tensor) -> tuple[Tensor, ...]:
        """Output of the network, from a folded copy where it and its weights stay as they are."""
        if not is_constant(network, images):
            return network(images)
        device = images.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else images.dtype
        with torch.no_grad(), torch.autocast(device, enabled=False):
            return self._copy(network, dtype)(images.to(dtype))

    def _copy(self, network: nn.Module, dtype: torch.dtype) -> Any:
        tensors = [*network.parameters(), *network.buffers()]
        made_from = tuple((tensor.data_ptr(), tensor._version) for tensor in tensors)
        if made_from != self._made_from:
            self.clear()
            self._made_from = made_from
        if dtype not in self._copies:
            try:
                folded: Any = fold(network).to(dtype)
            except (fx.proxy.TraceError, TypeError) as error:  # its forward asks what a tensor holds
                print_log(f'the backbone runs as it is, since it cannot be traced: {error}', 'current')
                folded = copy.deepcopy(network).to(dtype)
                folded.eval()  # returns None in some stock classes
            self._copies[dtype] = torch.compile(folded) if self.compiled else folded
            if tensors[0].device.type == 'cpu':
                keep_freed_memory()
        return self._copies[dtype]


def is_constant(network: nn.Module, images: Tensor) -> bool:
    """Whether this call can be folded, depends on weights only, and nobody looks inside.

    That is, there is no gradient, no hook on a layer, and no trace.
    """
    learns = torch.is_grad_enabled() and (
        images.requires_grad or any(parameter.requires_grad for parameter in network.parameters())
    )
    tensors = [*network.parameters(), *network.buffers()]
    return (
        all(isinstance(module, LAYERS) for module in network.modules() if not [*module.children()])
        and not (torch.compiler.is_compiling() or torch.jit.is_tracing())
        and not learns
        and not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
        and not any(tensor.is_inference() for tensor in tensors)  # these do not tell of changes
        and not any(
            module.training and module is not network and not isinstance(module, SAME_IN_TRAINING)
            for module in network.modules()
        )
    )


def fold(network: nn.Module) -> fx.GraphModule:
    """A copy of a network whose batch norms, ReLUs and residual sums are part of its convolutions."""
    network = copy.deepcopy(network)
    network.eval()
    module: Any
    for module in network.modules():
        module.with_cp = False  # saves the memory of gradients, of which there are none; not traceable
    traced = fx.symbolic_trace(network)
    for node in list(traced.graph.nodes):
        _into_convolution(traced, node)
    traced.graph.lint()
    traced.delete_all_unused_submodules()
    traced.recompile()
    return nn.Module.to(traced.requires_grad_(False), memory_format=torch.channels_last)  # type: ignore[call-overload]


def _into_convolution(traced: fx.GraphModule, node: fx.Node) -> None:
    """Let the convolution before a node do the node's work, if nothing else reads what lies between."""
    module = _module(traced, node)
    if isinstance(module, nn.Identity):
        return _replace(node, node.args[0])
    if isinstance(module, nn.Conv2d):
        return traced.set_submodule(str(node.target), FusedConv(module))
    before = node.args[0] if node.args else None
    conv = _module(traced, before) if isinstance(before, fx.Node) and len(before.users) == 1 else None
    if not isinstance(before, fx.Node) or not isinstance(conv, FusedConv) or conv.relu:
        return
    if isinstance(module, nn.ReLU):
        conv.relu = True
        _replace(node, before)
    elif isinstance(module, _BatchNorm) and module.track_running_stats and len(before.args) == 1:
        fold_norm(conv, module)
        _replace(node, before)
    elif node.target in (operator.add, operator.iadd) and len(before.args) == 1:
        with traced.graph.inserting_before(node):
            both = (before.args[0], node.args[1])
            _replace(node, traced.graph.call_module(str(before.target), both))
        traced.graph.erase_node(before)


def _module(traced: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return traced.get_submodule(str(node.target)) if node.op == 'call_module' else None


def _replace(node: fx.Node, other: Any) -> None:
    node.replace_all_uses_with(other)
    node.graph.erase_node(node)


@functools.cache
def keep_freed_memory() -> None:
    """Let glibc keep freed memory for the next layer, since fresh pages for large maps cost time.

    Large blocks no longer come from mmap, and only what exceeds 2 GiB is given back.
    """
    if platform.libc_ver()[0] == 'glibc':
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
