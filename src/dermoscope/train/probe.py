"""The quick kind of training: features of a frozen backbone, computed once and cached, and a head trained on them."""

import hashlib
import os
from pathlib import Path

import numpy as np
import torch

from dermoscope.data.crop import Frame
from dermoscope.train.batches import TrainingPictures, plain
from dermoscope.train.head import Embedded, fit_head
from dermoscope.train.loop import Progress
from dermoscope.train.networks import Reader, build
from dermoscope.train.recipes import Recipe

CHUNK = 512


def fit_probe(recipe: Recipe, data: TrainingPictures, cache: Path, progress: Progress | None = None) -> Reader:
    """Train only the head of the recipe's backbone on cached embeddings of the preferred copies and their mirrors.

    Raises TrainingError when the loss is no longer a number.
    """
    torch.manual_seed(recipe.seed)
    network = build(recipe.backbone, len(data.cases.taxonomy), pretrained=recipe.pretrained, sizes=(recipe.size,))
    reader = Reader(network).eval()
    views = [_embeddings(reader, recipe, data, cache, flip, progress) for flip in (False, True)]
    held = data.held if recipe.masked else None
    shown = Embedded(np.stack(views), data.labels, data.draw_shares(recipe.balance), held)
    fit_head(reader.network.get_classifier(), recipe, shown, progress)
    return reader.eval()


@torch.inference_mode()
def _embeddings(
    reader: Reader, recipe: Recipe, data: TrainingPictures, cache: Path, flip: bool, progress: Progress | None
) -> np.ndarray:
    weights = "ImageNet" if recipe.pretrained else f"random {recipe.seed}"
    which = f"{data.pictures.key} {data.first.tolist()}"
    key = hashlib.sha256(f"{recipe.backbone} {weights} {recipe.size} {flip} {which}".encode()).hexdigest()[:24]
    path = cache / f"features-{key}.npy"
    if path.exists():
        return np.load(path)
    parts = []
    for start in range(0, len(data.first), CHUNK):
        squares = plain(data.pictures, data.first[start : start + CHUNK], recipe.size, Frame(flip=flip))
        for batch in torch.from_numpy(squares).split(64):
            parts.append(reader(batch)[1].numpy())
        if progress is not None:
            progress("features" + (" (mirrored)" if flip else ""), min(start + CHUNK, len(data.first)), len(data.first))
    found = np.concatenate(parts)
    temporary = path.with_name(f"{path.stem}.{os.getpid()}.part.npy")
    np.save(temporary, found)
    temporary.replace(path)
    return found
