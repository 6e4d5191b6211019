"""Several processes that train one model: each reads its share of a batch, gradients and batch statistics are joined.

    accelerate-launch --multi_gpu --num_processes 2 -m dermoscope.cli.main train ...

On CPU they speak through gloo, on GPUs through NCCL. With dropout the masks are those of another seed; all else is the
same arithmetic as in one process, in another order.
"""

import contextlib
import datetime
from collections.abc import Iterator
from types import MethodType
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from dermoscope.core.errors import RecipeError
from dermoscope.train.backbones import prepare_torchvision
from dermoscope.train.networks import Reader

_PATIENCE = datetime.timedelta(hours=12)  # one process exports and calibrates while the others wait


def processes() -> Any:
    """accelerate's `PartialState`: how many processes there are, which this is, and waiting for the others."""
    prepare_torchvision()  # accelerate may import timm
    from accelerate import PartialState

    if PartialState._shared_state:
        return PartialState()
    return PartialState(cpu=not torch.cuda.is_available(), timeout=_PATIENCE)


def check_share(batch: int, count: int) -> None:
    """Raise RecipeError when a batch cannot be divided among the processes."""
    if batch % count or batch // count < 2:
        raise RecipeError(
            f"a batch of {batch} cannot be shared by {count} processes: it must be a multiple of {count}, "
            "at least 2 each (--set batch=...)"
        )


class Training(nn.Module):
    """What is wrapped for training: pictures to logits. The reader inside stays as it is for everything else."""

    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self.reader = reader

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.reader.logits(pictures)


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, tensor: torch.Tensor) -> torch.Tensor:  # noqa: ARG004
        total = tensor.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # noqa: ARG004
        total = gradient.clone()
        torch.distributed.all_reduce(total)
        return total


@contextlib.contextmanager
def joint_normalisation(network: nn.Module) -> Iterator[None]:
    """Inside, batch normalisation takes mean and variance over the whole batch, not over this process's share.

    torch's own SyncBatchNorm needs a GPU. In one process nothing changes.
    """
    layers = [m for m in network.modules() if isinstance(m, _BatchNorm)] if processes().num_processes > 1 else []
    for layer in layers:
        layer.forward = MethodType(_joint_forward, layer)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _joint_forward(layer: Any, x: torch.Tensor) -> torch.Tensor:
    if not layer.training:
        return type(layer).forward(layer, x)
    over = [0, *range(2, x.ndim)]
    shape = [1, -1, *[1] * (x.ndim - 2)]
    count = x.numel() // x.shape[1] * torch.distributed.get_world_size()
    wide = x.float()
    mean = _Sum.apply(wide.sum(over)) / count
    centred = wide - mean.view(shape)
    variance = _Sum.apply(centred.square().sum(over)) / count
    if layer.track_running_stats:
        with torch.no_grad():
            layer.num_batches_tracked.add_(1)
            layer.running_mean.lerp_(mean, layer.momentum)
            layer.running_var.lerp_(variance * count / max(1, count - 1), layer.momentum)
    out = centred * torch.rsqrt(variance + layer.eps).view(shape)
    if layer.affine:
        out = out * layer.weight.view(shape) + layer.bias.view(shape)
    out = out.to(x.dtype)
    # timm's layers hold the dropout and activation that follow
    return layer.act(layer.drop(out)) if hasattr(layer, "act") else out
