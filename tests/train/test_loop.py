"""The loop: killed and resumed, refused, and stopped by a loss that is no number.

Run as a script it trains the small run and kills itself (SIGKILL) where its last argument says.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dermoscope.core.cases import Case, CaseSet
from dermoscope.core.errors import TrainingError
from dermoscope.core.taxonomy import ISIC2019
from dermoscope.train import checkpoint, loop
from dermoscope.train.batches import TrainingPictures
from dermoscope.train.loop import Monitor, Stage, Watch, fit, logits_of, shipping_stages, stages
from dermoscope.train.networks import Reader, build
from dermoscope.train.pictures import Pictures
from dermoscope.train.recipes import DEFAULT, QUICK, Recipe
from dermoscope.train.watch import score_under_uniform

# every source of randomness that the loop knows is on
SMALL = replace(
    DEFAULT,
    backbone="test_efficientnet",
    pretrained=False,
    size=32,
    head=((1, 32),),
    phases=((1, 32), (1, 48)),
    average=((2, 32),),
    batch=16,
    dropout=0.3,
    mixup=0.2,
)
STEPS = 3


def data() -> TrainingPictures:
    """48 cases, twelve of each of four diagnoses, told apart by their colour."""
    rng = np.random.default_rng(0)
    codes = [ISIC2019.codes[k % 4] for k in range(48)]
    cases = CaseSet(tuple(Case(f"i{k}", diagnosis=code) for k, code in enumerate(codes)), ISIC2019)
    colours = np.array([(200, 60, 60), (60, 200, 60), (60, 60, 200), (180, 180, 60)])[np.arange(48) % 4]
    pixels = np.clip(rng.normal(colours[:, None, None], 30, (48, 40, 40, 3)), 0, 255).astype(np.uint8)
    pictures = Pictures(pixels.reshape(-1), np.arange(48) * 4800, np.full((48, 2), 40), "made")
    return TrainingPictures(cases, pictures, np.arange(48), np.ones(48, int))


def train(
    out: Path, recipe: Recipe = SMALL, progress: Callable[[str, int, int], None] | None = None, **more: float
) -> Reader:
    torch.set_num_threads(1)
    given = data()
    pictures = np.stack([given.pictures[k][4:36, 4:36] for k in range(8)])
    monitor = Monitor(pictures, given.labels[:8], score_under_uniform(np.full(8, 1 / 8), ISIC2019))
    return fit(recipe, stages(recipe), given, out, watch=Watch(progress, monitor=monitor, **more))


def killed_at(out: Path, phase: str, step: int, saved_every: float = 300) -> None:
    command = [sys.executable, __file__, out, phase, str(step), str(saved_every)]
    died = subprocess.run(command, check=False, capture_output=True)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()


def log(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def weights(reader: Reader) -> dict[str, torch.Tensor]:
    return reader.state_dict()


def assert_bit_equal(first: Reader, second: Reader) -> None:
    ours, theirs = weights(first), weights(second)
    assert ours.keys() == theirs.keys()
    differing = [name for name in ours if not torch.equal(ours[name], theirs[name])]
    assert differing == []


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Reader]:
    out = tmp_path_factory.mktemp("finished")
    return out, train(out)


def test_the_log_has_a_line_per_epoch(finished: tuple[Path, Reader]) -> None:
    lines = log(finished[0])
    told = [(line["stage"], line["epoch"], line["size"]) for line in lines]
    assert told == [
        ("head", 1, 32),
        ("all layers", 1, 32),
        ("all layers", 2, 48),
        ("averaging", 1, 32),
        ("averaging", 2, 32),
    ]
    for line in lines:
        assert {"loss", "seconds", "balanced_accuracy", "macro_auc", "mel_auc"} <= set(line)


def test_training_learns(finished: tuple[Path, Reader]) -> None:
    reader = finished[1]
    assert not reader.training
    given = data()
    pictures = np.stack([given.pictures[k][4:36, 4:36] for k in range(48)])
    longer = fit(
        replace(SMALL, ema=0.0, rate=5e-3),
        [Stage("all layers", ((10, 32),), 5e-3)],
        given,
        finished[0].parent / "longer",
    )
    before = log(finished[0])[0]["loss"]
    after = log(finished[0].parent / "longer")[-1]["loss"]
    assert isinstance(before, float)
    assert isinstance(after, float)
    assert after < 0.7 * before
    assert (logits_of(longer, pictures).argmax(axis=1) == given.labels).mean() > 0.6


@pytest.mark.parametrize(
    ("phase", "step", "done"),
    [
        ("all layers, epoch 2 of 2", 2, 2),  # with another input size than before
        ("averaging, epoch 1 of 2", 1, 3),  # between two stages
        ("averaging, epoch 2 of 2", 2, 4),
    ],
)
def test_killed_and_resumed_is_bit_equal(
    phase: str, step: int, done: int, finished: tuple[Path, Reader], tmp_path: Path
) -> None:
    killed_at(tmp_path, phase, step)
    assert len(log(tmp_path)) == done
    seen: list[str] = []
    resumed = train(tmp_path, progress=lambda at, _, __: seen.append(at))
    assert len(seen) == (5 - done) * STEPS  # what was done is not done again
    assert_bit_equal(resumed, finished[1])
    assert [(e["stage"], e["epoch"], e["loss"]) for e in log(tmp_path)] == [
        (e["stage"], e["epoch"], e["loss"]) for e in log(finished[0])
    ]


class Interrupted(Exception):  # noqa: N818
    """Stands for any end of a run in the middle of an epoch."""


def test_an_average_without_one_before_it_goes_on_too(tmp_path: Path) -> None:
    plain = replace(SMALL, ema=0.0, head=(), phases=((1, 32),), average=((2, 32),))

    def stop(at: str, done: int, _: int) -> None:
        if (at, done) == ("averaging, epoch 2 of 2", 2):
            raise Interrupted

    whole = train(tmp_path / "whole", plain)
    with pytest.raises(Interrupted):
        train(tmp_path / "cut", plain, stop)
    assert_bit_equal(train(tmp_path / "cut", plain), whole)


@pytest.mark.parametrize(
    ("phase", "step", "left"),
    [("head, epoch 1 of 1", 2, 14), ("all layers, epoch 2 of 2", 3, 7), ("averaging, epoch 2 of 2", 2, 2)],
)
def test_killed_within_an_epoch_and_resumed_there_is_bit_equal(
    phase: str, step: int, left: int, finished: tuple[Path, Reader], tmp_path: Path
) -> None:
    killed_at(tmp_path, phase, step, saved_every=0)  # a checkpoint after every step but the one that was cut
    seen: list[str] = []
    resumed = train(tmp_path, progress=lambda at, _, __: seen.append(at), saved_every=0)
    assert len(seen) == left
    assert_bit_equal(resumed, finished[1])
    ours, theirs = log(tmp_path), log(finished[0])
    for line in (*ours, *theirs):
        del line["seconds"]
    assert ours == theirs


def test_memory_that_runs_out(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits of memory are set the way of POSIX")
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    train(tmp_path, replace(SMALL, phases=((1, 32),), average=()))
    huge = replace(SMALL, phases=((1, 4096),), average=())  # 16 pictures of 48 MB, as numbers of 4 bytes
    resource.setrlimit(resource.RLIMIT_AS, (used + 2_000_000_000, before[1]))
    try:
        with pytest.raises(TrainingError) as caught:
            train(tmp_path / "huge", huge)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    said = str(caught.value)
    path = tmp_path / "huge" / "checkpoint.pt"
    assert said.startswith(f"memory ran out; the last good checkpoint is {path}. A smaller batch or input needs less")
    assert len(log(tmp_path / "huge")) == 1  # the head's epoch


def test_averaging_keeps_the_equal_mean_of_its_steps(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    recipe = replace(SMALL, ema=0.0, mixup=0.0)
    plan = [Stage("averaging", ((2, 32),), 1e-2, equal_average=True)]
    start = Reader(build(SMALL.backbone, 8, pretrained=False))
    kept = fit(recipe, plan, data(), tmp_path, start=start)
    # the same steps without averaging, looked at after each of them
    seen: list[torch.Tensor] = []
    found: list[Reader] = []

    def look(_: str, __: int, ___: int) -> None:
        seen.append(found[0].network.get_classifier().weight.detach().clone())

    real = loop._begin

    def begin(*arguments: object) -> object:
        work = real(*arguments)  # type: ignore[arg-type]
        found.append(work.reader)
        return work

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "_begin", begin)
        fit(recipe, [replace(plan[0], equal_average=False)], data(), tmp_path / "plain", start=start, watch=Watch(look))
    assert len(seen) == 2 * STEPS
    torch.testing.assert_close(kept.network.get_classifier().weight, torch.stack(seen).mean(dim=0))


def test_a_finished_run_is_only_loaded_again(finished: tuple[Path, Reader]) -> None:
    out, reader = finished
    (out / "log.jsonl").unlink()
    seen: list[str] = []
    assert_bit_equal(train(out, progress=lambda at, _, __: seen.append(at)), reader)
    assert seen == []
    assert len(log(out)) == 5  # the log comes back from the checkpoint


@pytest.mark.parametrize(
    "other", [replace(SMALL, rate=2e-3), replace(SMALL, seed=1), replace(SMALL, phases=((1, 32),))]
)
def test_a_checkpoint_of_another_recipe_is_refused(other: Recipe, finished: tuple[Path, Reader]) -> None:
    with pytest.raises(TrainingError, match=r"checkpoint\.pt belongs to another recipe or other data: choose another"):
        train(finished[0], other)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut"])
def test_what_is_no_checkpoint(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(TrainingError, match=r"checkpoint\.pt is not a checkpoint \(\w+\); delete it to start anew"):
        train(tmp_path)


def test_a_checkpoint_that_changed_on_the_disk(finished: tuple[Path, Reader], tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    content = bytearray((finished[0] / "checkpoint.pt").read_bytes())
    third = len(content) // 3
    content[third : third + 4000] = bytes(byte ^ 255 for byte in content[third : third + 4000])
    path.write_bytes(content)
    with pytest.raises(
        TrainingError, match=r"checkpoint\.pt is not a checkpoint \(BadZipFile\); delete it to start anew"
    ):
        train(tmp_path)


def test_a_checkpoint_of_something_else(tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(1)}, tmp_path / "checkpoint.pt")
    with pytest.raises(TrainingError, match=r"is not a checkpoint \(KeyError\)"):
        train(tmp_path)


def test_a_loss_that_is_no_number_names_the_last_checkpoint(tmp_path: Path) -> None:
    wild = replace(SMALL, rate=1e20, mixup=0.0)
    with pytest.raises(TrainingError) as caught:
        train(tmp_path, wild)
    said = str(caught.value)
    assert said.startswith("the loss became ")
    assert f"in all layers, epoch 1; the last good checkpoint is {tmp_path / 'checkpoint.pt'}; lower the rate" in said
    assert len(log(tmp_path)) == 1  # the head's epoch


def test_a_loss_that_is_no_number_at_once(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"there is no checkpoint yet in .*; lower the rate"):
        train(tmp_path, replace(SMALL, head=(), rate=1e20, mixup=0.0))


def test_weights_that_are_no_numbers_are_never_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    works: list[loop.Work] = []
    real = loop._begin
    monkeypatch.setattr(loop, "_begin", lambda *given: works.append(real(*given)) or works[0])

    def spoil(at: str, done: int, total: int) -> None:
        if at.startswith("all layers, epoch 1") and done == total:  # after the last step, so no loss shows it
            works[0].reader.network.get_classifier().bias.data[0] = torch.nan

    with pytest.raises(
        TrainingError, match="the weights are no numbers any more in all layers, epoch 1; the last good"
    ):
        train(tmp_path, progress=spoil)
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert saved["stage"] == 0
    assert all(tensor.isfinite().all() for tensor in saved["reader"].values())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full is a device of Linux")
def test_a_full_disk_leaves_the_last_checkpoint(finished: tuple[Path, Reader]) -> None:
    out = finished[0]
    before = (out / "checkpoint.pt").read_bytes()
    (out / "checkpoint.pt.part").symlink_to("/dev/full")
    path = out / "checkpoint.pt"
    with pytest.raises(TrainingError) as caught:
        checkpoint.save_checkpoint(out, {"weights": torch.zeros(1000), "log": []})
    assert str(caught.value).startswith(f"{path} cannot be written (")
    assert str(caught.value).endswith(f"; the last good checkpoint is {path}; make room and repeat the command")
    assert path.read_bytes() == before
    assert not (out / "checkpoint.pt.part").is_symlink()


def test_going_on_for_shipping_starts_from_a_network(finished: tuple[Path, Reader], tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in weights(finished[1]).items()}
    still = replace(SMALL, ship=((1, 32),), ship_rate=1e-30, ema=0.0, weight_decay=0.0)
    shipped = fit(still, shipping_stages(still), data(), tmp_path, start=finished[1])
    for name, parameter in shipped.named_parameters():  # with no rate to speak of they are those of the start
        torch.testing.assert_close(parameter, before[name], atol=1e-6, rtol=0)
    for name, value in weights(finished[1]).items():  # which is left as it was
        assert torch.equal(value, before[name])


def test_stages_of_a_recipe() -> None:
    assert [s.name for s in stages(DEFAULT)] == ["head", "all layers", "averaging"]
    assert [s.head_only for s in stages(DEFAULT)] == [True, False, False]
    assert [s.name for s in stages(replace(DEFAULT, head=(), average=()))] == ["all layers"]
    assert Stage("s", ((2, 64), (1, 96)), 1e-3).sizes == [64, 64, 96]
    assert shipping_stages(DEFAULT)[0].rate == DEFAULT.ship_rate
    assert shipping_stages(QUICK) == []


def main(arguments: Sequence[str]) -> None:
    out, phase, step, saved_every = arguments

    def die(at: str, done: int, _: int) -> None:
        if at == phase and done == int(step):
            os.kill(os.getpid(), signal.SIGKILL)

    train(Path(out), progress=die, saved_every=float(saved_every))


if __name__ == "__main__":
    main(sys.argv[1:])
