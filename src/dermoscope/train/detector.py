"""The detector of ink and rulers that `predict/marks.py` uses: network, training, choice of its cuts, export.

`make detector` repeats it in minutes on two cores.
"""

import copy
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dermoscope.core.errors import TrainingError
from dermoscope.data.images import read_image
from dermoscope.data.properties import at_common_size
from dermoscope.predict.session import Session
from dermoscope.train.detector_pictures import UNJUDGED, Lesson, batches
from dermoscope.train.export import halved

WIDTHS = (16, 24, 40)
"""Channels at half, quarter and eighth size."""

LEARNING_RATE, WEIGHT_DECAY, BATCH = 6e-3, 1e-4, 32

TOLERANCE = 1e-3
"""Difference of a logit that the order of sums may make."""


class Marks(nn.Module):
    """A small U-shaped network (after Ronneberger et al. 2015, MICCAI): logits of each kind for every 2 x 2 px.

    Those four px enter it side by side as twelve channels, which costs a third of what a layer at full size would; the
    ways up add to the ways down.
    """

    def __init__(self, kinds: int = 2) -> None:
        super().__init__()
        half, quarter, eighth = WIDTHS
        self.second = nn.Sequential(_block(12, half), _block(half, half))
        self.third = nn.Sequential(_block(half, quarter), _block(quarter, quarter))
        self.fourth = nn.Sequential(_block(quarter, eighth), _block(eighth, eighth, 2), _block(eighth, eighth, 4))
        self.to_third, self.to_second = nn.Conv2d(eighth, quarter, 1), nn.Conv2d(quarter, half, 1)
        self.up_third, self.up_second = _block(quarter, quarter), _block(half, half)
        self.out = nn.Conv2d(half, kinds, 1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures uint8 [n, 8h, 8w, 3] to logits [n, kinds, 4h, 4w]."""
        x = (pictures.permute(0, 3, 1, 2).float() - 127.5) / 64.0
        second = self.second(functional.pixel_unshuffle(x, 2))
        third = self.third(functional.max_pool2d(second, 2))
        fourth = self.fourth(functional.max_pool2d(third, 2))
        third = self.up_third(third + _twice(self.to_third(fourth)))
        return self.out(self.up_second(second + _twice(self.to_second(third))))


def _twice(x: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def _block(inside: int, outside: int, dilation: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inside, outside, 3, padding=dilation, dilation=dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outside), nn.ReLU())


def fit(lesson: Lesson, epochs: int, seed: int, *, told: Callable[[int, int], None]) -> Marks:
    """Train on a lesson; `told` is called with (steps done, of all)."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = Marks(lesson.truth.shape[1]).to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    steps = epochs * (len(lesson.pictures) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps, pct_start=0.15)
    done = 0
    for _ in range(epochs):
        for pictures, truth in batches(lesson, BATCH, rng):
            loss = _loss(network(torch.from_numpy(pictures)), torch.from_numpy(truth))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            done += 1
            told(done, steps)
    return network.eval()


def _loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the judged cells and one less the Dice overlap of each kind (Milletari et al. 2016)."""
    judged = (truth != UNJUDGED).float()
    wanted = (truth == 1).float()
    entropy = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    found = torch.sigmoid(logits) * judged
    dice = 1 - (2 * (found * wanted).sum((0, 2, 3)) + 1) / (found.sum((0, 2, 3)) + wanted.sum((0, 2, 3)) + 1)
    return (entropy * judged).sum() / judged.sum() + 0.2 * dice.mean()


def shares_above(
    network: Marks, paths: Sequence[Path], cuts: Sequence[float]
) -> Float[np.ndarray, "pictures kinds cuts"]:
    """Share of each picture whose logit of each kind is above each cut."""
    return np.stack([_shares(network, at_common_size(read_image(p).pixels), cuts) for p in paths])


def _shares(network: Marks, small: UInt8[np.ndarray, "height width 3"], cuts: Sequence[float]) -> np.ndarray:
    height, width = small.shape[:2]
    padded = cv2.copyMakeBorder(small, 0, -height % 8, 0, -width % 8, cv2.BORDER_REPLICATE)
    with torch.inference_mode():
        logits = network(torch.from_numpy(padded[None]))[0].numpy()
    logits = logits[:, : -(-height // 2), : -(-width // 2)]
    return np.stack([(logits > cut).mean(axis=(1, 2)) for cut in cuts], axis=1)


def chosen_cuts(
    shares: Float[np.ndarray, "pictures kinds cuts"], cuts: Sequence[float], limits: Sequence[float], false: float
) -> list[float]:
    """For each kind the lowest cut at which at most `false` of the pictures, which show no mark, are above its limit.

    Raises TrainingError where there is none.
    """
    out = []
    for kind, limit in enumerate(limits):
        flagged = (shares[:, kind] > limit).mean(axis=0)
        held = [cut for cut, share in zip(cuts, flagged, strict=True) if share <= false]
        if not held:
            raise TrainingError(f"more than {false:.0%} of the pictures without a mark are flagged at every cut")
        out.append(min(held))
    return out


def to_graph(network: Marks) -> bytes:
    """The graph as bytes: `pictures` uint8 [n, 8h, 8w, 3] to `logits` [n, kinds, 4h, 4w]; weights of 16 bits.

    Raises TrainingError where its logits differ from torch's by 1e-3 or more.
    """
    plain = _plain(network)
    graph = bytes(halved(_exported(plain)).SerializeToString())
    difference = _difference(plain, graph)
    if not difference < TOLERANCE:
        raise TrainingError(f"the exported detector differs from torch by {difference:.2g}; nothing written")
    return graph


def _plain(network: Marks) -> Marks:
    """A copy without batch normalisation, whose weights are rounded to what the file holds."""
    plain = copy.deepcopy(network).eval()
    for block in [m for m in plain.modules() if isinstance(m, nn.Sequential) and isinstance(m[0], nn.Conv2d)]:
        block[0], block[1] = fuse_conv_bn_eval(block[0], block[1]), nn.Identity()
    with torch.no_grad():
        for weights in plain.parameters():
            weights.copy_(weights.half().float())
    return plain


def _exported(network: Marks) -> Any:
    down, across = torch.export.Dim("h", min=2, max=256), torch.export.Dim("w", min=2, max=256)
    shape = {0: torch.export.Dim("n", min=1, max=4096), 1: 8 * down, 2: 8 * across}
    example = torch.zeros((2, 128, 176, 3), dtype=torch.uint8)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # the exporter warns about its own internals
        names = {"input_names": ["pictures"], "output_names": ["logits"]}
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            dynamic_shapes={"pictures": shape},
            opset_version=18,
            verbose=False,
            **names,
        )
        path = Path(folder) / "graph.onnx"
        program.save(str(path), external_data=False)
        import onnx

        return onnx.load(str(path))


def _difference(network: Marks, graph: bytes) -> float:
    """Greatest difference of the logits of noise of two sizes."""
    generator, session = np.random.default_rng(0), Session.load(graph, threads=1)
    worst = 0.0
    for size in ((1, 128, 128, 3), (2, 136, 192, 3)):
        pictures = generator.integers(0, 256, size).astype(np.uint8)
        with torch.inference_mode():
            theirs = network(torch.from_numpy(pictures)).numpy()
        worst = max(worst, float(np.abs(session.run(pictures, ("logits",))[0] - theirs).max()))
    return worst
