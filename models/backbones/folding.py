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
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights

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


class FusedConv(nn.Module):
    """Convolution, then optionally a sum, then optionally ReLU, in one pass over memory where that exists.

    Shape:
        x (B, C, H, W), other (B, D, h, w) -> (B, D, h, w). Channels that are one (as ``expand`` makes
        them: stride 0) are read once, with the sum of their weights.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        self.stride, self.dilation, self.groups = list(conv.stride), list(conv.dilation), conv.groups
        self.padding: Any = list(conv.padding)
        self.relu = False

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """See the class: x (B, C, H, W), other (B, D, h, w) or None -> (B, D, h, w)."""
        weight = self.weight
        if x.shape[1] > 1 and x.stride(1) == 0 and self.groups == 1:
            x, weight = x[:, :1], weight.sum(1, keepdim=True)
            x = x.clone(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last)
        if _fuses_on_cpu(x):
            return self._in_one_pass(x, weight, other)
        out = F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
        out = out if other is None else out.add_(other)
        return out.relu_() if self.relu else out

    def _in_one_pass(self, x: Tensor, weight: Tensor, other: Tensor | None) -> Tensor:
        activation = 'relu' if self.relu else 'none'
        geometry = (self.padding, self.stride, self.dilation, self.groups)
        convolve = torch.ops.mkldnn._convolution_pointwise
        if other is None:
            return convolve(x, weight, self.bias, *geometry, activation, [], '')
        return convolve.binary(x, other, weight, self.bias, *geometry, 'add', 1.0, activation, [], '')


def _fuses_on_cpu(x: Tensor) -> bool:
    """Whether oneDNN convolves this type with what follows (the operators that torch.compile uses)."""
    if x.device.type != 'cpu' or not torch.backends.mkldnn.is_available():
        return False
    return x.dtype == torch.float32 or (
        x.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


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
        _fold_norm(conv, module)
        _replace(node, before)
    elif node.target in (operator.add, operator.iadd) and len(before.args) == 1:
        with traced.graph.inserting_before(node):
            both = (before.args[0], node.args[1])
            _replace(node, traced.graph.call_module(str(before.target), both))
        traced.graph.erase_node(before)


def _fold_norm(conv: FusedConv, norm: _BatchNorm) -> None:
    """y = norm(conv(x)) -> y = conv(x), computed in float64."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    weight, bias = fuse_conv_bn_weights(
        conv.weight.double(),
        None if conv.bias is None else conv.bias.double(),
        norm.running_mean.double(),
        norm.running_var.double(),
        norm.eps,
        norm.weight.double() if norm.affine else None,
        norm.bias.double() if norm.affine else None,
    )
    conv.weight, conv.bias = (nn.Parameter(value.to(conv.weight.dtype)) for value in (weight, bias))


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
