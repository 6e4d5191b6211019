"""What a run leaves on the way, so that it goes on where it was cut: a checkpoint, replaced whole, and a log."""

import hashlib
import json
import os
import pickle
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from dermoscope.core.errors import TrainingError
from dermoscope.train.batches import TrainingPictures
from dermoscope.train.recipes import Recipe

CHECKPOINT, LOG = "checkpoint.pt", "log.jsonl"


def fingerprint(recipe: Recipe, plan: Iterable[object], data: TrainingPictures, start: Any = None) -> str:
    """Hash of everything that a run's weights follow from: settings, stages, pictures, labels, first weights."""
    settings = json.dumps(replace(recipe, full={}).as_dict(), sort_keys=True)
    ids = "\n".join(f"{c.image_id} {c.diagnosis}" for c in data.cases)
    digest = hashlib.sha256(f"{settings}\n{list(plan)}\n{data.pictures.key}\n{ids}".encode())
    if start is not None:  # a run that goes on from another network is another run
        for tensor in start.state_dict().values():
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def load_checkpoint(out: Path, expected: str | None = None) -> dict[str, Any] | None:
    """The checkpoint of a run (of the one with this fingerprint, where it is given), None where there is none yet.

    Raises TrainingError for a file that is no checkpoint, or one of another run.
    """
    path = out / CHECKPOINT
    if not path.exists():
        return None
    try:
        with zipfile.ZipFile(path) as parts:  # torch writes checksums and does not read them
            if parts.testzip() is not None:
                raise zipfile.BadZipFile
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        theirs = saved["fingerprint"]
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise TrainingError(f"{path} is not a checkpoint ({type(error).__name__}); delete it to start anew") from None
    if expected is not None and theirs != expected:
        raise TrainingError(f"{path} belongs to another recipe or other data: choose another --out, or delete it")
    return saved


def kept_weights(out: Path) -> dict[str, torch.Tensor]:
    """The weights that a run ended with (averaged ones where it averaged), or TrainingError where there are none."""
    saved = load_checkpoint(out)
    if saved is None:
        raise TrainingError(
            f"{out / CHECKPOINT} is missing, and with it the weights of the run; give a run that has it"
        )
    kept: dict[str, torch.Tensor] = saved["averaged"]
    return kept


def save_checkpoint(out: Path, state: dict[str, Any]) -> None:
    """Replace the checkpoint whole, then write its log beside it.

    Raises TrainingError, saying what the last good checkpoint is, where it cannot be written.
    """
    temporary = out / f"{CHECKPOINT}.part"
    try:
        torch.save(state, temporary)
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(out / CHECKPOINT)
    except (OSError, RuntimeError) as error:  # torch's own writer raises the second on a full disk
        temporary.unlink(missing_ok=True)
        why = error.strerror if isinstance(error, OSError) else "is the disk full?"
        raise TrainingError(
            f"{out / CHECKPOINT} cannot be written ({why}); {last_good(out)}; make room and repeat the command"
        ) from error
    write_log(out, state["log"])


def write_log(out: Path, lines: Sequence[dict[str, Any]]) -> None:
    """One JSON line per finished epoch."""
    log = out / f"{LOG}.part"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    log.replace(out / LOG)


def last_good(out: Path) -> str:
    """In words where the last good checkpoint is."""
    path = out / CHECKPOINT
    return f"the last good checkpoint is {path}" if path.exists() else f"there is no checkpoint yet in {out}"


def random_state() -> dict[str, Any]:
    """State of the generators that this process draws from."""
    on_gpu = [torch.cuda.get_rng_state()] if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "gpu": on_gpu}


def restore_random(state: dict[str, Any]) -> None:
    """The reverse of `random_state`; all processes begin alike, and so go on alike from the state of the first."""
    torch.set_rng_state(state["cpu"])
    if torch.cuda.is_available() and state["gpu"]:
        torch.cuda.set_rng_state(state["gpu"][0])
