"""Embeddings of a frozen backbone, computed once: each view of a chunk of pictures is cached when it is finished."""

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8

from dermoscope.data.images import read_image
from dermoscope.data.preprocess import decode_at, prepare, steps_as_json
from dermoscope.data.store import write_file
from dermoscope.predict.session import Session, usable_cores
from dermoscope.predict.views import View, cut
from dermoscope.train.export import half_precision, to_onnx
from dermoscope.train.loop import Progress
from dermoscope.train.networks import Reader, build
from dermoscope.train.pictures import digests
from dermoscope.train.recipes import Recipe

CHUNK = 256
"""Pictures that a run which is killed loses at most."""

_BATCH = 16
_WORTHWHILE = 2000
"""Squares from which on exporting the network pays: its graph takes half the time of the network on a processor."""

_Embed = Callable[[np.ndarray], np.ndarray]


def embeddings(
    recipe: Recipe, paths: Sequence[Path], views: Sequence[View], cache: Path, progress: Progress | None = None
) -> Float[np.ndarray, "pictures views features"]:
    """What the recipe's backbone, as it was pretrained, makes of every view of every picture at the recipe's size.

    Pictures go through the recipe's preprocessing first. Weights are rounded to 16 bit, as an exported
    graph has them. What was computed is found again by the content of the files, the backbone, its weights, the size,
    the preprocessing and the view.
    Raises ImageError for a file that cannot be read, RecipeError for a backbone that cannot be had.
    """
    held = digests(paths)
    embed: _Embed | None = None
    found = []
    for start in range(0, len(paths), CHUNK):
        rows = slice(start, start + CHUNK)
        files = [_file(recipe, view, held[rows], cache) for view in views]
        missing = [k for k, file in enumerate(files) if not file.exists()]
        if missing:
            embed = embed or _frozen(recipe, len(paths) * len(views))
            squares = _squares(paths[rows], recipe, [views[k] for k in missing])
            for k, pictures in zip(missing, squares, strict=True):
                _save(files[k], _embedded(embed, pictures))
        found.append(np.stack([np.load(file) for file in files], axis=1))
        if progress is not None:
            progress(f"features of {recipe.backbone}", min(start + CHUNK, len(paths)), len(paths))
    return np.concatenate(found)


def _file(recipe: Recipe, view: View, files: Sequence[bytes], cache: Path) -> Path:
    weights = "ImageNet" if recipe.pretrained else f"random {recipe.seed}"
    made = f"{recipe.backbone} {weights} {recipe.size} {json.dumps(view, sort_keys=True)} v1"
    made += f" {steps_as_json(recipe.steps)}" if recipe.steps else ""
    return cache / "embeddings" / f"{hashlib.sha256(made.encode() + b''.join(files)).hexdigest()[:32]}.npy"


def _frozen(recipe: Recipe, squares: int) -> _Embed:
    torch.manual_seed(recipe.seed)
    reader = Reader(build(recipe.backbone, 2, pretrained=recipe.pretrained)).eval()
    if squares >= _WORTHWHILE:
        session = Session.load(to_onnx(reader, recipe.size), threads=1)
        return lambda pictures: session.run(pictures, ("embedding",))[0]  # type: ignore[return-value]
    rounded = half_precision(reader)

    def embed(pictures: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return rounded(torch.from_numpy(pictures))[1].numpy()

    return embed


def _squares(
    paths: Sequence[Path], recipe: Recipe, views: Sequence[View]
) -> UInt8[np.ndarray, "views pictures size size 3"]:
    closest = max(view.get("zoom", 1.0) for view in views)
    least = decode_at(round(recipe.size * closest), recipe.steps)

    def one(path: Path) -> np.ndarray:
        return cut(prepare(read_image(path, at_least=least).pixels, recipe.steps), recipe.size, views)

    with ThreadPoolExecutor(usable_cores()) as pool:
        cuts = list(pool.map(one, paths))
    return np.stack(cuts, axis=1)


def _embedded(embed: _Embed, pictures: np.ndarray) -> np.ndarray:
    """Embeddings [pictures, features]; a thread to a batch keeps every core busy without waiting for the others."""
    batches = [pictures[start : start + _BATCH] for start in range(0, len(pictures), _BATCH)]
    with ThreadPoolExecutor(usable_cores()) as pool:
        return np.concatenate(list(pool.map(embed, batches)))


def _save(path: Path, values: np.ndarray) -> None:
    held = io.BytesIO()
    np.save(held, values)
    write_file(path, held.getvalue())
