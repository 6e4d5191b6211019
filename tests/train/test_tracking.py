"""Runs as MLflow sees them, in a store of its own on disk."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from dermoscope.core.errors import InputError
from dermoscope.data.readers import read_cases
from dermoscope.train.recipes import DEFAULT
from dermoscope.train.run import Job, train
from dermoscope.train.runs import read_log, read_run
from dermoscope.train.tracking import URI, MlflowListener, wanted

pytest.importorskip("mlflow", reason="mlflow-skinny is not installed: the extra `log` has it")

TINY = {"backbone": "test_efficientnet", "pretrained": "false", "size": "64", "batch": "16", "views": "1"}
SHORT = {"head": "1x32", "phases": "2x32", "average": "", "ship": "", "rate": "1e-3"}


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of an empty store; without a server MLflow keeps files only when it is told that this is meant."""
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv(URI, f"file://{tmp_path / 'store'}")
    return MlflowClient()


def test_a_run_and_its_continuation_are_one_run_there(client: Any, synthetic: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    recipe, out = DEFAULT.with_settings(TINY | SHORT), tmp_path / "run"

    def stop(phase: str, done: int, _: int) -> None:
        if phase == "all layers, epoch 2 of 2" and done == 2:
            raise KeyboardInterrupt

    given = read_cases(synthetic)
    with pytest.raises(KeyboardInterrupt):
        train(Job(recipe, given, out, tmp_path / "cache"), progress=stop, listener=MlflowListener())
    (cut,) = client.search_runs([client.get_experiment_by_name("dermoscope").experiment_id])
    assert cut.info.status == "FAILED"
    assert len(client.get_metric_history(cut.info.run_id, "loss")) == 2
    train(Job(recipe, given, out, tmp_path / "cache"), listener=MlflowListener())
    (run,) = client.search_runs([client.get_experiment_by_name("dermoscope").experiment_id])
    assert run.info.run_id == cut.info.run_id
    assert (run.info.status, run.info.run_name) == ("FINISHED", "run")
    assert run.data.params["rate"] == "0.001"
    assert run.data.params["augmentation.jpeg_p"] == str(recipe.augmentation.jpeg_p)
    card, lines = read_run(out), read_log(out)
    assert run.data.tags["data.sha256"] == card.data["sha256"]
    history = sorted(client.get_metric_history(run.info.run_id, "loss"), key=lambda m: m.step)
    assert [(m.step, m.value) for m in history] == [(k, line["loss"]) for k, line in enumerate(lines)]
    reached = card.figures[0].get("balanced_accuracy")
    assert run.data.metrics["validation/balanced_accuracy"] == reached.value
    assert run.data.metrics["validation/balanced_accuracy_low"] == reached.low
    stored = client.download_artifacts(run.info.run_id, "run.json", str(tmp_path))
    assert json.loads(Path(stored).read_text())["bundles"] == card.bundles


def test_a_store_that_cannot_be_used_is_named_before_any_training(
    synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URI, "nonsense://x")
    recipe = DEFAULT.with_settings(TINY | SHORT)
    with pytest.raises(InputError, match=r"MLflow cannot be used at nonsense://x \(.*\); mend MLFLOW_TRACKING_URI, or"):
        train(Job(recipe, read_cases(synthetic), tmp_path / "run", tmp_path / "cache"), listener=MlflowListener())
    assert [p.name for p in (tmp_path / "run").iterdir()] == [".lock"]


@pytest.mark.usefixtures("client")
def test_a_store_that_goes_away_costs_no_training(synthetic: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)

    class Lost(MlflowListener):
        def epoch(self, line: dict[str, Any]) -> None:
            self._run = "0" * 32  # a run that the store no longer has
            super().epoch(line)

    recipe = DEFAULT.with_settings(TINY | SHORT)
    with pytest.warns(RuntimeWarning, match="MLflow did not take log_metric, so its record") as said:
        train(Job(recipe, read_cases(synthetic), tmp_path / "run", tmp_path / "cache"), listener=Lost())
    assert len(said) == 1
    assert read_run(tmp_path / "run").state == "finished"


def test_when_to_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(URI, raising=False)
    assert not wanted(None)
    assert wanted(True)
    monkeypatch.setenv(URI, "http://localhost:5000")
    assert wanted(None)
    assert not wanted(False)
