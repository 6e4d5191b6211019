"""The training loop, read from top to bottom."""

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch.nn import functional as F

from dermoscope.core.errors import TrainingError
from dermoscope.train import checkpoint
from dermoscope.train.batches import Batch, Batches, Part, TrainingPictures
from dermoscope.train.distributed import Training, check_share, joint_normalisation, processes
from dermoscope.train.networks import Reader, build, only_head, parameter_groups
from dermoscope.train.recipes import Phases, Recipe

Progress = Callable[[str, int, int], None]
Score = Callable[[Float[np.ndarray, "cases diagnoses"], Int[np.ndarray, " cases"]], dict[str, float]]

SAVED_EVERY = 300.0
"""Seconds after which a checkpoint is written in the middle of an epoch; one follows every epoch anyway."""

_LOOKED_AT_EVERY = 50
"""Steps after which the loss is looked at: each look waits for a GPU."""

_NO_MEMORY = ("out of memory", "not enough memory", "allocate memory")


@dataclass(frozen=True, eq=False)
class Monitor:
    """Pictures that are scored after every epoch: never used to fit, here or anywhere."""

    pictures: UInt8[np.ndarray, "cases size size 3"]
    labels: Int[np.ndarray, " cases"]
    score: Score


@dataclass(frozen=True)
class Watch:
    """What goes along with a run and changes nothing of what it learns.

    `progress` is told (phase, done, total) after every step, `epoch` its line of the log; the scores of `monitor` stand
    in that line. Within an epoch a checkpoint is written after `saved_every` seconds.
    """

    progress: Progress | None = None
    epoch: Callable[[dict[str, Any]], None] | None = None
    monitor: Monitor | None = None
    saved_every: float = SAVED_EVERY


UNWATCHED = Watch()


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
        *(Stage(f"all layers at {rate:g}", recipe.phases, rate) for rate in recipe.rates),
        *([] if recipe.rates else [Stage("all layers", recipe.phases, recipe.rate)]),
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
    watch: Watch
    log: list[dict[str, Any]]
    saved_at: float

    @property
    def kept(self) -> Reader:
        """The weights that count: averaged where the recipe averages."""
        return self.averaged.module if self.averaged is not None else self.reader


@dataclass
class Epoch:
    """Where the loop stands: `number` in its stage, `overall` in the run, steps `done`, their summed loss."""

    number: int
    overall: int
    done: int
    total: torch.Tensor
    began: float


def fit(
    recipe: Recipe,
    plan: Sequence[Stage],
    data: TrainingPictures,
    out: Path,
    *,
    start: Reader | None = None,
    watch: Watch = UNWATCHED,
) -> Reader:
    """Train the recipe's network through the stages of `plan` and return it (averaged weights where it averages).

    `start` is a network to go on from; without it the backbone is built with its ImageNet weights and a new head.
    `out` receives `checkpoint.pt` (replaced whole after every epoch, and within one as `watch` says) and `log.jsonl` (a
    line per epoch). A run that was killed goes on from its last checkpoint when it is started again
    with the same recipe and data, and ends with the same weights, bit for bit, on the same kind of machine.
    Raises TrainingError when the loss is no longer a number, memory runs out, or `out` belongs to another run.
    """
    out.mkdir(parents=True, exist_ok=True)
    check_share(recipe.batch, processes().num_processes)
    expected = checkpoint.fingerprint(recipe, plan, data, start)
    saved = checkpoint.load_checkpoint(out, expected)
    if saved is not None and processes().is_main_process:
        checkpoint.write_log(out, saved["log"])  # a kill between checkpoint and log leaves the log a line short
    with out_of_memory_told(out):
        work = _begin(recipe, data, out, saved, start)
        work.fingerprint, work.watch = expected, watch
        begun = 0
        for number, stage in enumerate(plan):
            if saved is None or saved["stage"] <= number:
                resumed = saved if saved is not None and saved["stage"] == number else None
                _run_stage(work, stage, number, begun, resumed)
            begun += len(stage.sizes)
    return work.kept.to("cpu").eval()


@contextmanager
def out_of_memory_told(out: Path) -> Iterator[None]:
    """Inside, memory that runs out raises TrainingError, which says what the last good checkpoint in `out` is."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch's own error for it, on GPUs, is a RuntimeError
        if isinstance(error, RuntimeError) and not any(words in str(error).lower() for words in _NO_MEMORY):
            raise
        raise TrainingError(
            f"memory ran out; {checkpoint.last_good(out)}. A smaller batch or input needs less (--set batch=... or "
            "--set phases=...), into another --out"
        ) from error


def _begin(
    recipe: Recipe, data: TrainingPictures, out: Path, saved: dict[str, Any] | None, start: Reader | None
) -> Work:
    processes()
    from accelerate import Accelerator
    from accelerate.utils import set_seed

    gpu = torch.cuda.is_available()
    sixteen = "bf16" if gpu and torch.cuda.is_bf16_supported() else "no"  # on a CPU it is slower, and less exact
    accelerator = Accelerator(cpu=not gpu, mixed_precision=sixteen)
    set_seed(recipe.seed)
    if start is None:
        pretrained = recipe.pretrained and saved is None
        more: dict[str, Any] = {"dropout": recipe.dropout, "sizes": recipe.sides}
        start = Reader(build(recipe.backbone, len(data.cases.taxonomy), pretrained=pretrained, **more))
    reader = copy.deepcopy(start).to(accelerator.device, memory_format=torch.channels_last)
    averaged = _averaged(reader, recipe)
    if saved is not None:
        reader.load_state_dict(saved["reader"])
        if averaged is not None:
            averaged.module.load_state_dict(saved["averaged"])
    batches = Batches(data, recipe.batch, recipe.balance, recipe.augmentation, recipe.seed, recipe.masked)
    log = saved["log"] if saved is not None else []
    return Work(recipe, accelerator, reader, averaged, batches, out, "", UNWATCHED, log, time.monotonic())


def _run_stage(work: Work, stage: Stage, number: int, begun: int, resumed: dict[str, Any] | None) -> None:
    if stage.equal_average:
        _restart_average(work, resumed)
    with only_head(work.reader.network) if stage.head_only else nullcontext(), joint_normalisation(work.reader):
        optimiser = torch.optim.AdamW(parameter_groups(work.reader, work.recipe.weight_decay), lr=stage.rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, stage.rate, len(stage.sizes) * len(work.batches))
        if resumed is not None:
            optimiser.load_state_dict(resumed["optimiser"])
            schedule.load_state_dict(resumed["schedule"])
            checkpoint.restore_random(resumed["random"])
        # the schedule stays as it is: accelerate would step it once for every process
        model, optimiser = work.accelerator.prepare(Training(work.reader), optimiser)
        for at in range(0 if resumed is None else resumed["epoch"], len(stage.sizes)):
            epoch = _epoch_at(work, at, begun, resumed)
            resumed = None

            def save(stands: Epoch, whole: bool, *, parts: tuple[Any, Any] = (optimiser, schedule)) -> None:
                _save(work, number, stands, whole, parts)

            _run_epoch(work, stage, epoch, (model, optimiser, schedule), save)


def _epoch_at(work: Work, at: int, begun: int, resumed: dict[str, Any] | None) -> Epoch:
    """An epoch at its beginning, or where the checkpoint left it."""
    if resumed is None or not resumed["step"]:
        return Epoch(at, begun + at, 0, torch.zeros((), device=work.accelerator.device), time.monotonic())
    total = resumed["total"].to(work.accelerator.device)
    return Epoch(at, begun + at, resumed["step"], total, time.monotonic() - resumed["seconds"])


def _run_epoch(
    work: Work, stage: Stage, epoch: Epoch, parts: tuple[Any, Any, Any], save: Callable[[Epoch, bool], None]
) -> None:
    model, optimiser, schedule = parts
    batches, group, size = work.batches, processes(), stage.sizes[epoch.number]
    # frozen normalisation keeps its ImageNet statistics while only the head learns
    model.train(not stage.head_only)
    part = Part(epoch.done, group.process_index, group.num_processes)
    for batch in batches.epoch(epoch.overall, size, part, stage.mixup):
        with work.accelerator.autocast():
            loss = _loss(model, batch, work.accelerator.device, work.recipe.label_smoothing)
        work.accelerator.backward(loss)
        work.accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        epoch.done += 1
        epoch.total += loss.detach()
        if work.averaged is not None:
            before = epoch.number if stage.equal_average else epoch.overall
            work.averaged.update(work.reader, step=before * len(batches) + epoch.done)
        if work.watch.progress is not None:
            at = f"{stage.name}, epoch {epoch.number + 1} of {len(stage.sizes)}"
            work.watch.progress(at, epoch.done, len(batches))
        if epoch.done % _LOOKED_AT_EVERY == 0:
            _mean_loss(work, stage, epoch)
        late = time.monotonic() - work.saved_at >= work.watch.saved_every
        if late and epoch.done < len(batches) and np.isfinite(float(epoch.total)) and _finite(work.reader):
            save(epoch, False)
    loss_of_all = round(_mean_loss(work, stage, epoch), 5)
    if not _finite(work.reader):  # what the last step did shows in no loss so far
        raise _diverged(work, stage, epoch, "the weights are no numbers any more")
    line = {"stage": stage.name, "epoch": epoch.number + 1, "size": size, "loss": loss_of_all, **_scores(work)}
    work.log.append({**line, "seconds": round(time.monotonic() - epoch.began, 2)})
    save(epoch, True)
    if work.watch.epoch is not None:
        work.watch.epoch(work.log[-1])


def _mean_loss(work: Work, stage: Stage, epoch: Epoch) -> float:
    """Mean loss of the epoch so far, over all processes. Raises TrainingError when it is no number."""
    mean = float(work.accelerator.reduce(epoch.total.clone(), "mean")) / epoch.done
    if not np.isfinite(mean):
        raise _diverged(work, stage, epoch, f"the loss became {mean}")
    return mean


def _diverged(work: Work, stage: Stage, epoch: Epoch, what: str) -> TrainingError:
    return TrainingError(
        f"{what} in {stage.name}, epoch {epoch.number + 1}; {checkpoint.last_good(work.out)}; "
        "lower the rate (--set rate=... or --set head_rate=...) and train into another --out"
    )


def _finite(reader: Reader) -> bool:
    return bool(torch.stack([tensor.isfinite().all() for tensor in reader.state_dict().values()]).all())


def _save(work: Work, stage: int, epoch: Epoch, whole: bool, parts: tuple[Any, Any]) -> None:
    work.saved_at = time.monotonic()
    if not work.accelerator.is_main_process:
        return
    optimiser, schedule = parts
    state = {
        "fingerprint": work.fingerprint,
        "stage": stage,
        "epoch": epoch.number + 1 if whole else epoch.number,
        "step": 0 if whole else epoch.done,
        "total": epoch.total.cpu(),
        "seconds": time.monotonic() - epoch.began,
        "reader": work.reader.state_dict(),
        "averaged": work.kept.state_dict(),
        "optimiser": optimiser.state_dict(),
        "schedule": schedule.state_dict(),
        "random": checkpoint.random_state(),
        "log": work.log,
    }
    checkpoint.save_checkpoint(work.out, state)


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


def _loss(model: Any, batch: Batch, device: torch.device, smoothing: float) -> torch.Tensor:
    def there(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(device, non_blocking=True)

    def loss(logits: torch.Tensor, labels: np.ndarray, held: np.ndarray | None) -> torch.Tensor:
        return cross_entropy(logits, there(labels), None if held is None else there(held), smoothing)

    x, mix = there(batch.pictures), batch.mix
    if mix is None:
        return loss(model(x), batch.labels, batch.held)
    logits = model(mix.share * x.float() + (1 - mix.share) * there(mix.pictures).float())
    # each part of a mixture is judged among what its own source can hold
    ours, theirs = loss(logits, batch.labels, batch.held), loss(logits, mix.labels, mix.held)
    return mix.share * ours + (1 - mix.share) * theirs


def cross_entropy(
    logits: torch.Tensor, labels: torch.Tensor, held: torch.Tensor | None, smoothing: float = 0.0
) -> torch.Tensor:
    """Mean cross-entropy of logits [n, d] with label smoothing, the softmax of each row restricted to `held` [n, d].

    A source that cannot hold a diagnosis then teaches nothing about it; left in, it would teach that its camera never
    sees one. `held` None is the plain softmax.
    """
    if held is None:
        return F.cross_entropy(logits, labels, label_smoothing=smoothing)
    logs = torch.log_softmax(logits.masked_fill(~held, -torch.inf), dim=1)
    hit = -logs.gather(1, labels[:, None])[:, 0]
    spread = -logs.masked_fill(~held, 0.0).sum(dim=1) / held.sum(dim=1)
    return ((1 - smoothing) * hit + smoothing * spread).mean()


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
    if work.watch.monitor is None or not work.accelerator.is_main_process:
        return {}
    with work.accelerator.autocast():
        logits = logits_of(work.kept, work.watch.monitor.pictures)
    found = work.watch.monitor.score(logits, work.watch.monitor.labels)
    return {name: round(value, 4) if np.isfinite(value) else None for name, value in found.items()}
