"""What a run leaves in its folder, and that nothing of it is lost to a kill.

Run as a script it trains a small run as the command line would; see `command`.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock

from dermoscope import __version__
from dermoscope.core.card import RunCard
from dermoscope.core.errors import InputError, LeakError, TrainingError
from dermoscope.core.taxonomy import ISIC2019
from dermoscope.data.files import read_scores, read_truth
from dermoscope.data.readers import read_cases
from dermoscope.data.splits import ROLES, read_split, role_of, sharpest_per_lesion, with_role, write_split
from dermoscope.evaluate.score import evaluate
from dermoscope.predict.bundle import load
from dermoscope.predict.predictor import Predictor
from dermoscope.train import runs
from dermoscope.train.comparison import compare
from dermoscope.train.distributed import processes
from dermoscope.train.recipes import DEFAULT, Recipe
from dermoscope.train.run import Job, data_hash, sources_hash, train
from dermoscope.train.runs import (
    Diary,
    code_version,
    differences,
    find_runs,
    open_diary,
    read_log,
    read_run,
    recorded,
    sole,
    state_of,
)

SETTINGS = {"backbone": "test_efficientnet", "pretrained": "false", "size": "64", "batch": "16", "views": "2"}
NO_DROPOUT = {"dropout": "0"}  # whose masks each of several processes draws for itself
SHORT = {"head": "1x32", "phases": "1x32", "average": "1x32", "ship": "1x64"}


def fresh(**changes: object) -> RunCard:
    given = {
        "name": "quick",
        "started": "2026-01-02T03:04:05+00:00",
        "changed": "2026-01-02T03:04:05+00:00",
        "seed": 0,
        "data": {"name": "set", "sha256": "a" * 64, "split": "hash of the lesion"},
        "recipe": {"rate": 0.1, "augmentation": {"jpeg": 40}},
        "code": {"version": "0.1", "sources": "s1"},
        "environment": {"device": "x"},
    }
    return RunCard.model_validate(given | changes)


def test_the_card_says_what_the_run_was(run_folder: Path, synthetic: Path, quick_recipe: Recipe) -> None:
    card = read_run(run_folder)
    assert (card.state, card.why, card.name, card.seed) == ("finished", "", "quick", quick_recipe.seed)
    assert card.recipe == json.loads(json.dumps(replace(quick_recipe, full={}).as_dict()))
    given = read_cases(synthetic)
    assert card.data["sha256"] == data_hash(given)
    assert (card.data["images"], card.data["lesions"]) == (len(given), len(set(given.groups)))
    assert card.data["training"] == len(with_role(given, "training"))
    assert card.code["version"] == __version__
    assert len(card.code["sources"]) == 16
    assert card.environment["packages"]["torch"] == torch.__version__.split("+")[0] or "+" in torch.__version__
    assert card.environment["processes"] == 1
    assert card.bundles == {"chosen": load(run_folder / "chosen").sha256}
    assert card.seconds > 0


def test_other_sources_are_other_data_where_both_cards_name_them(tmp_path: Path) -> None:
    def card(**data: str) -> RunCard:
        return fresh(data={"name": "set", "sha256": "a" * 64, "split": "hash of the lesion", **data})

    Diary(tmp_path, card(sources="b" * 64)).note()
    open_diary(tmp_path, card(sources="b" * 64))
    open_diary(tmp_path, card())  # begun before sources were noted
    with pytest.raises(TrainingError, match=r"other data \(data\.sources: b{12} there, c{12} now\): choose another"):
        open_diary(tmp_path, card(sources="c" * 64))


def test_a_comparison_says_which_run_another_went_on_from(tmp_path: Path) -> None:
    for name, start in (("one", {}), ("two", {"start": "d" * 64})):
        Diary(tmp_path / name, fresh(data={"name": "set", "sha256": "a" * 64, "split": "s", **start})).note()
    assert compare([tmp_path / "one", tmp_path / "two"]).settings == {"start": [None, "d" * 64]}


def test_the_validation_files_are_what_the_bundle_says(run_folder: Path, synthetic: Path) -> None:
    watched = sharpest_per_lesion(with_role(read_cases(synthetic), "validation"))
    predictor = Predictor.load(run_folder / "chosen")
    prediction = predictor.predict(watched)
    truth = read_truth(run_folder / runs.TRUTH, ISIC2019)
    assert truth.ids == watched.ids
    for name, prior in ((runs.SERVED, None), (runs.CALIBRATED, "calibration")):
        scores = read_scores(run_folder / name, ISIC2019)
        np.testing.assert_array_equal(scores.values, predictor.refine(prediction, prior).values)
    (figures,) = read_run(run_folder).figures
    served = read_scores(run_folder / runs.SERVED, ISIC2019)
    assert figures.get("balanced_accuracy") == evaluate(served, truth)["balanced_accuracy"]
    assert figures.get("calibration:log_loss").n == len(watched)
    assert "isic2018:balanced_accuracy" in figures.estimates


def test_the_data_hash_is_of_the_content(synthetic: Path, tmp_path: Path) -> None:
    given = read_cases(synthetic)
    known = data_hash(given)
    copied = shutil.copytree(synthetic, tmp_path / "elsewhere")
    assert data_hash(read_cases(copied)) == known
    assert data_hash(replace(given, cases=given.cases[::-1])) == known
    first = next(iter((copied / "images").glob("*.jpg")))
    first.write_bytes(first.read_bytes() + b"\0")
    assert data_hash(read_cases(copied)) != known
    other = replace(given.cases[0], lesion_id="L-other")
    assert data_hash(replace(given, cases=(other, *given.cases[1:]))) != known
    elsewhere = replace(given, cases=(replace(given.cases[0], source="elsewhere"), *given.cases[1:]))
    assert data_hash(elsewhere) == known
    assert sources_hash(elsewhere) != sources_hash(given)
    assert sources_hash(replace(given, cases=given.cases[::-1])) == sources_hash(given)
    assert data_hash(replace(elsewhere, holds={"elsewhere": frozenset({given.cases[0].diagnosis})})) != known


def test_a_finished_run_is_only_loaded(run_folder: Path, synthetic: Path, quick_recipe: Recipe, tmp_path: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in run_folder.rglob("*") if p.is_file() and p.name != ".lock"}
    told: list[str] = []
    use = {"name": "synthetic lesions"}
    bundle = train(
        Job(quick_recipe, read_cases(synthetic), run_folder, tmp_path, data_use=use),
        progress=lambda p, _, __: told.append(p),
    )
    assert bundle.sha256 == read_run(run_folder).bundles["chosen"]
    assert set(told) == {"checking the data"}
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert not list(tmp_path.iterdir())


def test_a_folder_of_another_run_is_left_alone(
    run_folder: Path, synthetic: Path, quick_recipe: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError) as caught:
        train(Job(replace(quick_recipe, rate=0.5), read_cases(synthetic), run_folder, tmp_path))
    assert str(caught.value) == (
        f"{run_folder / 'run.json'} belongs to another recipe or other data (rate: 0.2 there, 0.5 now): choose another "
        "--out, or delete it"
    )
    assert read_run(run_folder).state == "finished"


def test_two_runs_cannot_write_into_one_folder(synthetic: Path, quick_recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with (
        FileLock(tmp_path / "run" / ".lock"),
        pytest.raises(TrainingError, match="another process trains into it; wait"),
    ):
        train(Job(quick_recipe, read_cases(synthetic), tmp_path / "run", tmp_path))


def test_a_run_that_was_stopped_says_why(synthetic: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    wild = DEFAULT.with_settings(SETTINGS | SHORT | {"rate": "1e20", "mixup": "0"})
    with pytest.raises(TrainingError, match="the loss became"):
        train(Job(wild, read_cases(synthetic), tmp_path / "run", tmp_path / "cache"))
    card = read_run(tmp_path / "run")
    assert (card.state, card.bundles, card.figures) == ("stopped", {}, ())
    assert card.why.startswith("the loss became ")
    assert state_of(tmp_path / "run", card) == "stopped"
    assert [line["stage"] for line in read_log(tmp_path / "run")] == ["head"]


def test_what_is_running_and_what_was_cut(tmp_path: Path) -> None:
    card = Diary(tmp_path, fresh()).note()
    assert state_of(tmp_path, card) == "cut"
    with FileLock(tmp_path / ".lock"):
        assert state_of(tmp_path, card) == "running"
    assert state_of(tmp_path, card) == "cut"
    assert state_of(tmp_path, fresh(state="finished")) == "finished"


def test_a_diary_goes_on_and_remembers_other_code(tmp_path: Path) -> None:
    Diary(tmp_path, fresh(seconds=10.0)).note(state="stopped", why="x")
    again = open_diary(tmp_path, fresh(code={"version": "0.2", "sources": "s2"}, started="later"))
    card = again.note(state="running", why="")
    assert card.started == "2026-01-02T03:04:05+00:00"
    assert card.seconds >= 10
    assert card.code == {"version": "0.2", "sources": "s2", "before": [{"version": "0.1", "sources": "s1"}]}
    assert read_run(tmp_path) == card
    third = open_diary(tmp_path, fresh(code={"version": "0.3", "sources": "s3"})).note()
    assert [c["sources"] for c in third.code["before"]] == ["s1", "s2"]


def test_differences_have_flat_names() -> None:
    other = fresh(
        recipe={"rate": 0.2, "augmentation": {"jpeg": 40}}, data={"sha256": "b" * 64, "split": "hash of the lesion"}
    )
    assert differences(fresh(), other) == {"rate": (0.1, 0.2), "data": ("a" * 64, "b" * 64)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"run\.json: cannot be read \(No such file or directory\); give a folder that `dermoscope train --out`"),
        ("{", r"run\.json: not a run card \(the file: Invalid JSON"),
        ('{"name": "x"}', r"run\.json: not a run card \(started: Field required\); delete it and repeat the"),
    ],
)
def test_what_is_no_run(content: str | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match=message):
        read_run(tmp_path)


@pytest.mark.parametrize("content", ['{"epoch": 1}\n{"stage": "he', '{"epoch": 1}\n3\n', '{"epoch": 1}\n\xff'])
def test_a_damaged_log_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "chosen-run").mkdir()
    (tmp_path / "chosen-run" / "log.jsonl").write_bytes(content.encode("latin1"))
    with pytest.raises(InputError, match=r"log\.jsonl: line 2 is damaged; delete it, or the file"):
        read_log(tmp_path)


@pytest.mark.parametrize("place", ["file", "file/run"])
def test_a_folder_that_cannot_be_made(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match=rf"{place}: cannot be written \(.+\); choose another --out"),
        sole(tmp_path / place),
    ):
        pytest.fail("nothing may be written there")


def test_a_file_that_cannot_be_written_stops_a_run(tmp_path: Path) -> None:
    diary = Diary(tmp_path, fresh())
    with pytest.raises(TrainingError) as caught, recorded(diary):
        (tmp_path / "absent" / "file").write_text("")
    why = f"a file could not be read or written ({tmp_path / 'absent' / 'file'}: No such file or directory)"
    assert str(caught.value) == f"{tmp_path}: {why}; mend that and repeat the command, the run goes on where it stopped"
    assert read_run(tmp_path).state == "stopped"
    assert read_run(tmp_path).why.startswith(why)


def test_runs_are_found_the_newest_first(tmp_path: Path) -> None:
    for number, name in enumerate(("b/one", "a", "c/d/two")):
        (tmp_path / name).mkdir(parents=True)
        Diary(tmp_path / name, fresh()).note()
        os.utime(tmp_path / name / "run.json", (number, number))
    assert find_runs(tmp_path) == [tmp_path / "c/d/two", tmp_path / "a", tmp_path / "b/one"]
    assert find_runs(tmp_path / "a") == [tmp_path / "a"]
    with pytest.raises(InputError, match="no such folder; give the one that holds the runs"):
        find_runs(tmp_path / "absent")


def test_the_code_is_named_by_version_sources_and_commit() -> None:
    found = code_version()
    assert found["version"] == __version__
    assert int(found["sources"], 16) >= 0
    assert "commit" not in found or len(found["commit"]) == 40


def test_roles_may_come_from_a_file(synthetic: Path, quick_recipe: Recipe, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    given = read_cases(synthetic)
    turned = {"training": "training", "test": "validation", "validation": "test", "calibration": "calibration"}
    rows = {c.image_id: (c.group, turned[role_of(c.group)]) for c in given}
    split = write_split(tmp_path / "split.csv", rows)  # type: ignore[arg-type]
    short = replace(quick_recipe, phases=((1, 64),), views=1)
    train(Job(short, given, tmp_path / "run", tmp_path / "cache", split=read_split(tmp_path / "split.csv")))
    card = read_run(tmp_path / "run")
    assert card.data["split"] == split.sha256
    expected = sharpest_per_lesion(with_role(given, "test")).ids
    assert read_truth(tmp_path / "run" / runs.TRUTH, ISIC2019).ids == expected
    torn = dict(rows)
    several = next(c for c in given if sum(o.lesion_id == c.lesion_id for o in given) > 1)
    other = next(role for role in ROLES if role != rows[several.image_id][1])
    torn[several.image_id] = ("alone", other)
    bad = write_split(tmp_path / "torn.csv", torn)  # type: ignore[arg-type]
    with pytest.raises(LeakError, match="tears apart what belongs together"):
        train(Job(short, given, tmp_path / "torn", tmp_path / "cache", split=bad))
    assert not (tmp_path / "torn").exists()


def command(synthetic: Path, out: Path) -> list[str]:
    return [sys.executable, __file__, str(synthetic), str(out)]


@pytest.mark.slow
def test_a_run_that_is_killed_at_any_moment_ends_with_the_same_bundle(synthetic: Path, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    begun = time.monotonic()
    subprocess.run(command(synthetic, whole), check=True, capture_output=True)
    took = time.monotonic() - begun
    rng = random.Random(5)
    kills = 0
    while kills < 3:
        with subprocess.Popen(command(synthetic, cut), stderr=subprocess.DEVNULL) as running:
            try:
                running.wait(took * (0.3 + 0.6 * rng.random()))
            except subprocess.TimeoutExpired:
                running.send_signal(signal.SIGKILL)
                kills += 1
                continue
        break
    assert kills >= 1
    subprocess.run(command(synthetic, cut), check=True, capture_output=True)
    for name in ("chosen", "bundle"):
        assert load(cut / name).sha256 == load(whole / name).sha256
        for file in ("model.onnx", "arrays.npz"):
            assert (cut / name / file).read_bytes() == (whole / name / file).read_bytes()
    assert (cut / runs.SERVED).read_bytes() == (whole / runs.SERVED).read_bytes()
    card = read_run(cut)
    assert card.state == "finished"
    assert card.bundles == read_run(whole).bundles


def test_runs_are_compared_on_the_same_lesions(
    run_folder: Path, synthetic: Path, quick_recipe: Recipe, tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    worse = replace(quick_recipe, phases=((2, 64),), rate=1e-4)
    train(Job(worse, read_cases(synthetic), tmp_path / "worse", tmp_path / "cache"))
    found = compare([run_folder, tmp_path / "worse"])
    assert found.settings["rate"] == [0.2, 1e-4]
    assert found.settings["phases"] == [[[120, 64]], [[2, 64]]]
    assert "data" not in found.settings
    assert found.remarks == ()
    by_metric = {d.metric: d for d in found.differences}
    assert set(by_metric) == {
        "isic2018:balanced_accuracy",
        "balanced_accuracy",
        "calibration:MEL.auc",
        "calibration:log_loss",
    }
    first, second = found.figures["balanced_accuracy"]
    assert first is not None
    assert second is not None
    assert first.value is not None
    assert second.value is not None
    assert by_metric["balanced_accuracy"].estimate.value == pytest.approx(second.value - first.value)
    assert by_metric["balanced_accuracy"].estimate.value < 0
    assert all(d.p_holm >= d.p_value for d in found.differences)
    json.dumps(found.as_dict())
    same = compare([run_folder, run_folder])
    assert same.settings == {}
    assert all(d.estimate.value == 0 and d.p_holm == 1 for d in same.differences)


def test_runs_on_other_cases_have_no_paired_difference(run_folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(run_folder, tmp_path / "other")
    for name in (runs.SERVED, runs.CALIBRATED, runs.TRUTH):
        lines = (other / name).read_text().splitlines()
        (other / name).write_text("\n".join(lines[:-1]) + "\n")
    found = compare([run_folder, other])
    assert found.differences == ()
    assert found.remarks == (f"{other} was validated on other cases than {run_folder}: no paired difference is taken.",)
    Diary(tmp_path / "cut", fresh()).note()
    (remark,) = compare([run_folder, tmp_path / "cut"]).remarks
    assert remark.startswith(f"{tmp_path / 'cut'} has no validation figures: it is cut")
    with pytest.raises(InputError, match="comparing takes two runs or more"):
        compare([run_folder])


def main(synthetic: Path, out: Path) -> None:
    torch.set_num_threads(1)
    recipe = DEFAULT.with_settings(SETTINGS | SHORT | NO_DROPOUT)
    train(Job(recipe, read_cases(synthetic), out, out.parent / f"cache-{out.name}", ship=True))
    if processes().num_processes > 1:
        processes().destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))


def test_runs_are_compared_on_another_clinic(run_folder: Path, synthetic: Path) -> None:
    cases = read_cases(synthetic).where(lambda c: c.diagnosis in ("MEL", "NV", "BKL"))
    found = compare([run_folder, run_folder], cases)
    n = len(with_role(cases, "validation").one_per_lesion())
    shown = {name: row for name, row in found.figures.items() if name.startswith("elsewhere:")}
    assert set(shown) == {"elsewhere:balanced_accuracy", "elsewhere:macro_average.auc", "elsewhere:MEL.auc"}
    assert all(e is not None and e.n == n for row in shown.values() for e in row)
    differences = [d for d in found.differences if d.metric in shown]
    assert [d.estimate.value for d in differences] == [0, 0, 0]
    with pytest.raises(InputError, match="none of the other cases has the role validation"):
        compare([run_folder, run_folder], cases.where(lambda _: False))
