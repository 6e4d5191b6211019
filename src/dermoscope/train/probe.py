"""The quick kind of training: features of a frozen backbone, computed once and cached, and a head trained on them."""

import hashlib
import os
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from dermoscope.core.errors import TrainingError
from dermoscope.train.batches import TrainingPictures, plain
from dermoscope.train.loop import Progress, cross_entropy
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
    features = torch.from_numpy(np.stack(views))
    labels = torch.tensor(data.labels)  # a copy: a case set lends its labels read-only
    held = torch.tensor(data.held) if recipe.masked and data.held is not None else None
    head = reader.network.get_classifier()
    optimiser = torch.optim.AdamW(head.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay)
    epochs = sum(count for count, _ in recipe.phases)
    steps = max(1, len(labels) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, epochs * steps)
    shares = torch.from_numpy(data.draw_shares(recipe.balance))
    generator = torch.Generator().manual_seed(recipe.seed)
    for epoch in range(epochs):
        drawn = torch.multinomial(shares, steps * recipe.batch, replacement=True, generator=generator)
        view = torch.randint(0, len(features), (len(drawn),), generator=generator)
        for rows, which in zip(drawn.split(recipe.batch), view.split(recipe.batch), strict=True):
            x = F.dropout(features[which, rows], recipe.dropout)
            allowed = None if held is None else held[rows]
            loss = cross_entropy(head(x), labels[rows], allowed, recipe.label_smoothing)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        if not loss.isfinite():
            raise TrainingError(
                f"the loss became {loss.item()} in epoch {epoch + 1}; lower the rate (--set rate=...) and train into "
                "another --out"
            )
        if progress is not None:
            progress("head", epoch + 1, epochs)
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
        squares = plain(data.pictures, data.first[start : start + CHUNK], recipe.size, flip=flip)
        for batch in torch.from_numpy(squares).split(64):
            parts.append(reader(batch)[1].numpy())
        if progress is not None:
            progress("features" + (" (mirrored)" if flip else ""), min(start + CHUNK, len(data.first)), len(data.first))
    found = np.concatenate(parts)
    temporary = path.with_name(f"{path.stem}.{os.getpid()}.part.npy")
    np.save(temporary, found)
    temporary.replace(path)
    return found
