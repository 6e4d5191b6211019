"""The training loop, read from top to bottom."""

import copy
import hashlib
import json
import os
import pickle
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch.nn import functional as F

from dermoscope.core.errors import TrainingError
from dermoscope.train.batches import Batches, TrainingPictures
from dermoscope.train.networks import Reader, build, only_head, parameter_groups
from dermoscope.train.recipes import Phases, Recipe

Progress = Callable[[str, int, int], None]
Score = Callable[[Float[np.ndarray, "cases diagnoses"], Int[np.ndarray, " cases"]], dict[str, float]]


@dataclass(frozen=True, eq=False)
class Monitor:
    """Pictures that are scored after every epoch: never used to fit, here or anywhere."""

    pictures: UInt8[np.ndarray, "cases size size 3"]
    labels: Int[np.ndarray, " cases"]
    score: Score


@dataclass(frozen=True)
class Stage:
    """A part of the training: name, (epochs, input size) phases, peak learning rate, whether only the head learns.

    `mixup` is the alpha of mixup in it. With `equal_average` it starts from the weights kept so far and keeps the equal
    average of all its steps (Izmailov et al. 2018, stochastic weight averaging), instead of an exponential one.
    """

    name: str
    phases: Phases
    rate: float
    head_only: bool = False
    mixup: float = 0.0
    equal_average: bool = False

    @property
    def sizes(self) -> list[int]:
        """Input size of each epoch."""
        return [size for epochs, size in self.phases for _ in range(epochs)]


def stages(recipe: Recipe) -> list[Stage]:
    """Head first, then all layers, then averaging (where the recipe has epochs for them): watched on validation."""
    plan = [
        Stage("head", recipe.head, recipe.head_rate, head_only=True),
        Stage("all layers", recipe.phases, recipe.rate),
        Stage("averaging", recipe.average, recipe.average_rate, mixup=recipe.mixup, equal_average=True),
    ]
    return [stage for stage in plan if stage.phases]


def shipping_stages(recipe: Recipe) -> list[Stage]:
    """What follows on training + validation once everything has been chosen; empty where the recipe has none."""
    ship = Stage("for shipping", recipe.ship, recipe.ship_rate, mixup=recipe.mixup, equal_average=True)
    return [ship] if ship.phases else []


@dataclass
class Work:
    """A run in progress: what the loop changes, and what it needs at every step."""

    recipe: Recipe
    accelerator: Any
    reader: Reader
    averaged: Any
    batches: Batches
    out: Path
    fingerprint: str
    monitor: Monitor | None
    progress: Progress | None
    log: list[dict[str, Any]]

    @property
    def kept(self) -> Reader:
        """The weights that count: averaged where the recipe averages."""
        return self.averaged.module if self.averaged is not None else self.reader


def fit(
    recipe: Recipe,
    plan: Sequence[Stage],
    data: TrainingPictures,
    out: Path,
    *,
    start: Reader | None = None,
    monitor: Monitor | None = None,
    progress: Progress | None = None,
) -> Reader:
    """Train the recipe's network through the stages of `plan` and return it (averaged weights where it averages).

    `start` is a network to go on from; without it the backbone is built with its ImageNet weights and a new head.
    `out` receives `checkpoint.pt` (replaced whole after every epoch) and `log.jsonl` (a line per epoch). A run that was
    killed goes on from its last checkpoint when it is started again with the same recipe and data.
    Raises TrainingError when the loss is no longer a number, or `out` belongs to another run.
    """
    out.mkdir(parents=True, exist_ok=True)
    fingerprint = _fingerprint(recipe, plan, data, start)
    saved = _load_checkpoint(out, fingerprint)
    if saved is not None:
        _write_log(out, saved["log"])  # a kill between checkpoint and log leaves the log a line short
    work = _begin(recipe, data, out, saved, start)
    work.fingerprint, work.monitor, work.progress = fingerprint, monitor, progress
    begun = 0
    for number, stage in enumerate(plan):
        if saved is None or saved["stage"] <= number:
            resumed = saved if saved is not None and saved["stage"] == number else None
            _run_stage(work, stage, number, begun, resumed)
        begun += len(stage.sizes)
    # with 16-bit arithmetic `prepare` replaces `forward` by one that casts: that must not reach the export
    kept = work.accelerator.unwrap_model(work.kept, keep_fp32_wrapper=False)
    return kept.to("cpu").eval()


def _begin(
    recipe: Recipe, data: TrainingPictures, out: Path, saved: dict[str, Any] | None, start: Reader | None
) -> Work:
    from accelerate import Accelerator
    from accelerate.utils import set_seed

    accelerator = Accelerator(mixed_precision="bf16" if torch.cuda.is_available() else "no")
    set_seed(recipe.seed)
    if start is None:
        pretrained = recipe.pretrained and saved is None
        start = Reader(build(recipe.backbone, len(data.cases.taxonomy), pretrained=pretrained, dropout=recipe.dropout))
    reader = copy.deepcopy(start).to(accelerator.device, memory_format=torch.channels_last)
    averaged = _averaged(reader, recipe)
    if saved is not None:
        reader.load_state_dict(saved["reader"])
        if averaged is not None:
            averaged.module.load_state_dict(saved["averaged"])
    batches = Batches(data, recipe.batch, recipe.balance, recipe.augmentation, recipe.seed)
    log = saved["log"] if saved is not None else []
    return Work(recipe, accelerator, reader, averaged, batches, out, "", None, None, log)


def _run_stage(work: Work, stage: Stage, number: int, begun: int, resumed: dict[str, Any] | None) -> None:
    if stage.equal_average:
        _restart_average(work, resumed)
    with only_head(work.reader.network) if stage.head_only else nullcontext():
        optimiser = torch.optim.AdamW(parameter_groups(work.reader, work.recipe.weight_decay), lr=stage.rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, stage.rate, len(stage.sizes) * len(work.batches))
        first = 0
        if resumed is not None:
            first = resumed["epoch"]
            optimiser.load_state_dict(resumed["optimiser"])
            schedule.load_state_dict(resumed["schedule"])
            torch.set_rng_state(resumed["random"])
        prepared, optimiser, schedule = work.accelerator.prepare(work.reader, optimiser, schedule)
        for epoch in range(first, len(stage.sizes)):
            started = time.monotonic()
            loss = _run_epoch(work, stage, epoch, begun, (prepared, optimiser, schedule))
            line = {
                "stage": stage.name,
                "epoch": epoch + 1,
                "size": stage.sizes[epoch],
                "loss": round(loss, 5),
                **_scores(work),
            }
            work.log.append({**line, "seconds": round(time.monotonic() - started, 2)})
            _save_checkpoint(
                work.out,
                {
                    "fingerprint": work.fingerprint,
                    "stage": number,
                    "epoch": epoch + 1,
                    "reader": work.reader.state_dict(),
                    "averaged": work.kept.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "schedule": schedule.state_dict(),
                    "random": torch.get_rng_state(),
                    "log": work.log,
                },
            )


def _run_epoch(work: Work, stage: Stage, epoch: int, begun: int, prepared: tuple[Any, Any, Any]) -> float:
    model, optimiser, schedule = prepared
    device, batches = work.accelerator.device, work.batches
    # frozen normalisation keeps its ImageNet statistics while only the head learns
    model.train(not stage.head_only)
    total = torch.zeros((), device=device)
    for done, (pictures, labels) in enumerate(batches.epoch(begun + epoch, stage.sizes[epoch]), start=1):
        x = torch.from_numpy(pictures).to(device, non_blocking=True)
        y = torch.from_numpy(labels).to(device, non_blocking=True)
        with work.accelerator.autocast():
            loss = _loss(work.reader, x, y, work.recipe.label_smoothing, stage.mixup)
        work.accelerator.backward(loss)
        work.accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        if work.averaged is not None:
            before = epoch if stage.equal_average else begun + epoch
            work.averaged.update(work.reader, step=before * len(batches) + done)
        total += loss.detach()
        if work.progress is not None:
            work.progress(f"{stage.name}, epoch {epoch + 1} of {len(stage.sizes)}", done, len(batches))
    mean = float(total) / len(batches)
    if not np.isfinite(mean):
        path = work.out / "checkpoint.pt"
        raise TrainingError(
            f"the loss became {mean} in {stage.name}, epoch {epoch + 1}; "
            + (
                f"the last good checkpoint is {path}"
                if path.exists()
                else f"no epoch was finished, {path} is not there"
            )
            + "; lower the rate (--set rate=... or --set head_rate=...) and train into another --out"
        )
    return mean


def _averaged(reader: Reader, recipe: Recipe) -> Any:
    if recipe.ema <= 0:
        return None
    from timm.utils import ModelEmaV3

    return ModelEmaV3(reader, decay=recipe.ema, use_warmup=True)


def _restart_average(work: Work, resumed: dict[str, Any] | None) -> None:
    from timm.utils import ModelEmaV3

    kept = work.kept.state_dict() if resumed is None else resumed["averaged"]
    if resumed is None:
        work.reader.load_state_dict(kept)
    # a decay of 1 - 1 / (1 + step) is the equal average of all steps so far
    work.averaged = ModelEmaV3(work.reader, decay=1.0, use_warmup=True, warmup_power=1.0)
    work.averaged.module.load_state_dict(kept)


def _loss(reader: Reader, x: torch.Tensor, y: torch.Tensor, smoothing: float, mixup: float) -> torch.Tensor:
    if mixup <= 0:
        return F.cross_entropy(reader.logits(x), y, label_smoothing=smoothing)
    share = float(torch.distributions.Beta(mixup, mixup).sample())
    order = torch.randperm(len(x)).to(x.device)
    mixed = share * x.float() + (1 - share) * x[order].float()
    logits = reader.logits(mixed)
    ours = F.cross_entropy(logits, y, label_smoothing=smoothing)
    return share * ours + (1 - share) * F.cross_entropy(logits, y[order], label_smoothing=smoothing)


@torch.inference_mode()
def logits_of(reader: Reader, pictures: UInt8[np.ndarray, "cases size size 3"], batch: int = 128) -> np.ndarray:
    """Logits [cases, diagnoses] of pictures that are cut to the input size, on the device of the network."""
    device = next(reader.parameters()).device
    was_training = reader.training
    reader.eval()
    parts = [
        reader.logits(torch.from_numpy(pictures[k : k + batch]).to(device)).float().cpu().numpy()
        for k in range(0, len(pictures), batch)
    ]
    reader.train(was_training)
    return np.concatenate(parts)


def _scores(work: Work) -> dict[str, float | None]:
    if work.monitor is None:
        return {}
    with work.accelerator.autocast():
        logits = logits_of(work.kept, work.monitor.pictures)
    found = work.monitor.score(logits, work.monitor.labels)
    return {name: round(value, 4) if np.isfinite(value) else None for name, value in found.items()}


def _fingerprint(recipe: Recipe, plan: Sequence[Stage], data: TrainingPictures, start: Reader | None = None) -> str:
    settings = json.dumps(replace(recipe, full={}).as_dict(), sort_keys=True)
    ids = "\n".join(f"{c.image_id} {c.diagnosis}" for c in data.cases)
    digest = hashlib.sha256(f"{settings}\n{plan}\n{ids}".encode())
    if start is not None:  # a run that goes on from another network is another run
        for tensor in start.state_dict().values():
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _load_checkpoint(out: Path, fingerprint: str) -> dict[str, Any] | None:
    path = out / "checkpoint.pt"
    if not path.exists():
        return None
    try:
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        theirs = saved["fingerprint"]
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise TrainingError(f"{path} is not a checkpoint ({type(error).__name__}); delete it to start anew") from None
    if theirs != fingerprint:
        raise TrainingError(f"{path} belongs to another recipe or other data: choose another --out, or delete it")
    return saved


def _save_checkpoint(out: Path, state: dict[str, Any]) -> None:
    temporary = out / "checkpoint.pt.part"
    torch.save(state, temporary)
    with temporary.open("rb+") as written:
        os.fsync(written.fileno())
    temporary.replace(out / "checkpoint.pt")
    _write_log(out, state["log"])


def _write_log(out: Path, lines: Sequence[dict[str, Any]]) -> None:
    log = out / "log.jsonl.part"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    log.replace(out / "log.jsonl")
