"""Networks: any timm architecture with a head of its own, and what a bundle needs of it."""

import contextlib
import ctypes
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn

from dermoscope.core.errors import RecipeError
from dermoscope.train.backbones import make_backbone


def tune_allocator() -> None:
    """Keep large buffers in the process (glibc returns them to the kernel at every call): 1.5x on CPU training.

    To be called before the first large allocation. Elsewhere than on Linux with glibc it does nothing.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        for option, value in ((-4, 0), (-1, 2**31 - 1), (-2, 512 << 20)):  # mmap max, trim threshold, top pad
            libc.mallopt(option, value)


class Pooled(nn.Module):
    """A timm network whose own head is not one linear layer, with such a head on its pooled features."""

    def __init__(self, network: Any, diagnoses: int) -> None:
        super().__init__()
        network.reset_classifier(0)
        self.network = network
        self.pretrained_cfg = network.pretrained_cfg
        self.head = nn.Linear(getattr(network, "head_hidden_size", network.num_features), diagnoses)

    def forward_features(self, pictures: torch.Tensor) -> torch.Tensor:
        """The last map or the last tokens."""
        return self.network.forward_features(pictures)

    def forward_head(self, features: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Pooled features [n, e], or the logits of them."""
        embedding = self.network.forward_head(features, pre_logits=True).flatten(1)
        return embedding if pre_logits else self.head(embedding)

    def get_classifier(self) -> nn.Linear:
        """The head."""
        return self.head


def build(
    backbone: str, diagnoses: int, *, pretrained: bool = True, dropout: float = 0.0, sizes: Iterable[int] = ()
) -> nn.Module:
    """A timm network with a new linear head of `diagnoses` outputs.

    ImageNet weights come from an installed package where there is one, else from the cache of timm's hub or from it.
    Raises RecipeError for a name that timm does not know, weights that cannot be had, and a side in `sizes` (px) that
    the network does not take.
    """
    network: Any = make_backbone(backbone, pretrained=pretrained, dropout=dropout)
    if isinstance(network.get_classifier(), nn.Linear):
        network.reset_classifier(diagnoses)
    else:
        network = Pooled(network, diagnoses)
    for size in sorted(set(sizes)):
        check_size(network, backbone, size)
    return network


def check_size(network: Any, backbone: str, size: int) -> None:
    """Raise RecipeError where a network does not take squares of `size` px."""
    training = network.training
    try:
        with torch.inference_mode():
            network.eval().get_classifier()(_embedded(network, torch.zeros(1, 3, size, size))[0])
    except (RuntimeError, AssertionError, ValueError, TypeError, AttributeError, IndexError) as error:
        if "memory" in str(error).lower():
            raise
        own = (network.pretrained_cfg or {}).get("input_size", (3, 224, 224))[-1]
        why = str(error).partition("\n")[0] or type(error).__name__
        raise RecipeError(
            f"{backbone} cannot read pictures of {size} px ({why}); it was made for {own} px: --set size={own} and "
            f"phases of that side (--set phases=8x{own}), or another --set backbone=NAME"
        ) from None
    finally:
        network.train(training)


def _embedded(network: Any, normalised: torch.Tensor) -> tuple[torch.Tensor, Any]:
    """Embedding [n, e] and what it is pooled from: a map [n, e, h', w'] or what else the network has."""
    features = network.forward_features(normalised)
    return network.forward_head(features, pre_logits=True), features


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameters for the optimiser: no weight decay on biases and normalisation."""
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for parameter in network.parameters():
        if parameter.requires_grad:
            (plain if parameter.ndim <= 1 else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]


@contextlib.contextmanager
def only_head(network: Any) -> Iterator[None]:
    """Inside, only the classifier of the network learns."""
    head = set(network.get_classifier().parameters())
    before = {p: p.requires_grad for p in network.parameters()}
    for parameter in before:
        parameter.requires_grad_(parameter in head)
    try:
        yield
    finally:
        for parameter, needed in before.items():
            parameter.requires_grad_(needed)


def normalisation(backbone: nn.Module) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel, in units of 0..255, that the ImageNet weights were trained with."""
    config = getattr(backbone, "pretrained_cfg", {}) or {}
    mean = config.get("mean", (0.5, 0.5, 0.5))
    std = config.get("std", (0.5, 0.5, 0.5))
    return tuple(255 * m for m in mean), tuple(255 * s for s in std)


class Reader(nn.Module):
    """A network that reads uint8 pictures [n, h, w, 3] and normalises them itself.

    `forward` gives logits [n, d], embedding [n, e] (pooled features) and features [n, e, h', w'] (the last map), which
    is left out where the network makes no such map: transformers have tokens, and some networks widen after pooling.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        mean, std = normalisation(network)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def normalised(self, pictures: torch.Tensor) -> torch.Tensor:
        """[n, h, w, 3] uint8 to [n, 3, h, w] float, channels last in memory."""
        return (pictures.permute(0, 3, 1, 2).to(self.mean.dtype) - self.mean) / self.std

    def logits(self, pictures: torch.Tensor) -> torch.Tensor:
        """Logits [n, d] alone, for training; dropout as the mode says."""
        return self.network.get_classifier()(_embedded(self.network, self.normalised(pictures))[0])

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, ...]:
        embedding, features = _embedded(self.network, self.normalised(pictures))
        logits = self.network.get_classifier()(embedding)
        is_map = isinstance(features, torch.Tensor) and features.ndim == 4 and features.shape[1] == embedding.shape[1]
        return (logits, embedding, features) if is_map else (logits, embedding)
