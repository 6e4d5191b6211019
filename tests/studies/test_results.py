"""Runs of studies: resumed by their key, alone, and what they leave."""

import multiprocessing
import time
from pathlib import Path

import numpy as np
import pytest

from dermoscope.core.claim import Claim
from dermoscope.core.errors import InputError, TrainingError
from dermoscope.core.estimate import Estimate
from dermoscope.core.study import Measured, Row
from dermoscope.studies.base import Asked, Context, Paper, Plan, Study
from dermoscope.studies.registry import STUDIES, find
from dermoscope.studies.results import read_results, results_of, run_study

CLAIM = Claim("diagnosis", "ISIC 2019", "AUC", 0.9, "ensemble", "p", "table 1")
MADE: list[int] = []


def _piece(k: int) -> dict[str, np.ndarray]:
    MADE.append(k)
    return {"value": np.array([0.5 + k / 100])}


def _run(context: Context) -> tuple[Row, ...]:
    values = [context.piece({"k": k}, lambda k=k: _piece(k))["value"][0] for k in range(3)]
    measured = tuple(Measured("AUC", Estimate(float(v), None, None, "-", "image", 3), "all", "none") for v in values)
    if context.asked.bundle == "broken":
        raise InputError("this bundle is broken; give another")
    return (Row("toy", "method check", "toy", "A toy", (CLAIM,), measured),)


def _plan(asked: Asked) -> Plan:
    return Plan({"seed": 3, **asked.settings}, {"name": asked.data or "toys", "sha256": "0" * 64})


TOY = Study("toy", "A toy", Paper("p", "Nobody 2020", "@misc{p}"), (CLAIM,), _plan, _run)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DERMOSCOPE_HOME", str(tmp_path))
    MADE.clear()
    return tmp_path


def test_a_run_that_stopped_repeats_no_finished_piece(home: Path) -> None:
    with pytest.raises(InputError, match="this bundle is broken"):
        run_study(TOY, Asked(bundle="broken"))
    assert MADE == [0, 1, 2]
    assert results_of("toy") is None
    pieces = sorted((home / "studies" / "toy").glob("*/pieces/*.npz"))
    pieces[0].unlink()
    found = run_study(TOY, Asked())
    assert len(MADE) == 4
    assert found.card.state == "finished"
    assert found.card.seed == 3
    assert results_of("toy") == found


@pytest.mark.usefixtures("home")
def test_another_recipe_or_other_data_begin_anew() -> None:
    for asked in (Asked(), Asked(settings={"rate": "0.1"}), Asked(data="others")):
        run_study(TOY, asked)
    assert len(MADE) == 9
    run_study(TOY, Asked())
    assert len(MADE) == 9


def _hold(folder: Path, held: "multiprocessing.synchronize.Event") -> None:
    from filelock import FileLock

    with FileLock(folder / ".lock"):
        held.set()
        time.sleep(60)


def test_two_processes_do_not_run_one_study_at_once(home: Path) -> None:
    folder = home / "studies" / "toy" / _plan(Asked()).key
    folder.mkdir(parents=True)
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    other = context.Process(target=_hold, args=(folder, held))
    other.start()
    try:
        assert held.wait(30)
        with pytest.raises(TrainingError, match="another process runs this study; wait until it has finished"):
            run_study(TOY, Asked())
    finally:
        other.kill()
        other.join()
    assert run_study(TOY, Asked()).rows


def test_damaged_results_are_named(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    for content in ("{", '{"format": 1}', "[]"):
        path.write_text(content)
        with pytest.raises(InputError, match=r"results\.json: not the results of a study .*; delete it, and"):
            read_results(path)
    path.write_text('{"format": 9}')
    with pytest.raises(InputError, match=r"results of format 9, this version reads 1; run it again"):
        read_results(path)


def test_every_study_of_the_registry_is_there() -> None:
    for name in STUDIES:
        study = find(name)
        assert study.name == name
        assert study.paper.bibtex.startswith("@")
        assert f"{{{study.paper.key}," in study.paper.bibtex
    with pytest.raises(InputError, match="no study 'x'; there are"):
        find("x")


@pytest.mark.parametrize(
    ("study", "setting", "takes"),
    [
        ("steppan2021", "views", "backbones, seeds, folds, member_views, preprocessing, pretrained, size"),
        ("steppan2021", "backbone", "backbones, seeds"),
        ("preprocessing", "preprocessing", "backbone, balance, seed, pretrained"),
        ("ood", "ema", "backbone, balance, seed, preprocessing, pretrained"),
    ],
)
def test_a_setting_that_changes_nothing_is_refused(study: str, setting: str, takes: str) -> None:
    text = {"views": "2", "backbone": "resnet18", "preprocessing": "shave", "ema": "0.5"}[setting]
    with pytest.raises(InputError, match=f"--set {setting} changes nothing in this study; it takes {takes}"):
        find(study).plan(Asked(data="/nowhere", settings={"rate": "0.1", setting: text}))


@pytest.mark.parametrize("study", ["preprocessing", "ood"])
def test_a_form_that_a_study_does_not_have_is_refused(study: str) -> None:
    with pytest.raises(InputError, match="--full changes nothing in this study; leave it out"):
        find(study).plan(Asked(data="/nowhere", full=True))
    with pytest.raises(InputError, match="--bundle changes nothing in this study; leave it out"):
        find(study).plan(Asked(data="/nowhere", bundle="default"))
