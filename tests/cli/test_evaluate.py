"""`dermoscope evaluate`: what it prints where, and its exit codes."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dermoscope.cli.main import main
from dermoscope.core.probabilities import Probabilities, Scores
from dermoscope.core.taxonomy import ISIC2018, ISIC2019, Taxonomy
from dermoscope.core.truth import Truth, with_unknown
from dermoscope.data.files import read_scores, read_truth, write_scores, write_truth
from dermoscope.evaluate.curves import reliability_curves
from dermoscope.evaluate.score import evaluate


def files(folder: Path, of_scores: Taxonomy, of_truth: Taxonomy) -> tuple[str, str]:
    """A submission and a truth of 60 images of 30 lesions."""
    rng = np.random.default_rng(0)
    ids = tuple(f"ISIC_{k:07d}" for k in range(60))
    p = np.exp(rng.normal(size=(60, len(of_scores))))
    predictions, truth = folder / "predictions.csv", folder / "truth.csv"
    write_scores(predictions, Probabilities(ids, of_scores, p / p.sum(axis=1, keepdims=True)))
    labels = np.repeat(np.arange(30) % len(of_truth), 2)
    write_truth(truth, Truth(ids, of_truth, labels, groups=tuple(f"L{k // 2}" for k in range(60))))
    return str(predictions), str(truth)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run the command line in this process: exit code, stdout, stderr."""

    def call(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dermoscope", "evaluate", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return call


def test_the_tables_hold_the_figures_and_the_caveat(run, tmp_path: Path) -> None:
    predictions, truth = files(tmp_path, ISIC2018, ISIC2018)
    code, out, err = run(predictions, truth, "--resamples", "50")
    found = evaluate(read_scores(predictions, ISIC2018), read_truth(truth, ISIC2018), resamples=50)
    assert (code, err) == (0, "")
    assert "30 lesions, 95 % intervals" in out
    for name in ("balanced_accuracy", "ece", "MEL.auc", "VASC.npv"):
        assert f"{found[name].value:.3f}" in out
    assert "No patient ids" in out
    assert "optimistic" in out
    assert max(map(len, out.splitlines())) <= 80


def test_json_is_all_that_stands_on_stdout(run, tmp_path: Path) -> None:
    predictions, truth = files(tmp_path, ISIC2018, ISIC2018)
    code, out, err = run(predictions, truth, "--json", "--resamples", "50", "--seed", "3")
    scores, labels = read_scores(predictions, ISIC2018), read_truth(truth, ISIC2018)
    expected = {n: e.as_dict() for n, e in evaluate(scores, labels, resamples=50, seed=3).items()}
    assert code == 0
    assert json.loads(out) == expected
    assert set(expected["balanced_accuracy"]) == {"value", "low", "high", "method", "unit", "n"}
    assert err.startswith("dermoscope: note: No patient ids")


def test_reliability_is_told_on_demand(run, tmp_path: Path) -> None:
    predictions, truth = files(tmp_path, ISIC2018, ISIC2018)
    code, out, _ = run(predictions, truth, "--resamples", "5", "--reliability")
    assert code == 0
    for title in ("Highest probability", "Melanoma", "Any malignant diagnosis"):
        assert f"{title}: does its probability come" in out
    assert max(map(len, out.splitlines())) <= 80
    told = json.loads(run(predictions, truth, "--resamples", "5", "--reliability", "--json")[1])
    curves = reliability_curves(read_scores(predictions, ISIC2018), read_truth(truth, ISIC2018))
    assert told["reliability"] == {name: [b.as_dict() for b in bins] for name, bins in curves.items()}
    assert "reliability" not in json.loads(run(predictions, truth, "--resamples", "5", "--json")[1])


def test_predictions_come_from_a_pipe(run, tmp_path: Path) -> None:
    predictions, truth = files(tmp_path, ISIC2018, ISIC2018)
    piped = run("-", truth, "--json", "--resamples", "5", stdin=Path(predictions).read_text())
    assert piped == run(predictions, truth, "--json", "--resamples", "5")


def test_eight_diagnoses_against_seven_warn_about_scc(run, tmp_path: Path) -> None:
    predictions, truth = files(tmp_path, ISIC2019, ISIC2018)
    code, out, err = run(predictions, truth, "--json", "--resamples", "5")
    assert code == 0
    assert "AKIEC.auc" in json.loads(out)
    assert "dermoscope: warning: AK and SCC of the predictions are counted as AKIEC" in err


def test_seven_diagnoses_against_eight_need_a_word(run, tmp_path: Path) -> None:
    predictions, truth = files(tmp_path, ISIC2018, ISIC2019)
    code, out, err = run(predictions, truth)
    assert (code, out) == (2, "")
    assert "with --taxonomy isic2018" in err
    code, out, err = run(predictions, truth, "--taxonomy", "isic2018", "--json", "--resamples", "5")
    assert code == 0
    assert json.loads(out)["AKIEC.recall"]["n"] == 7


def test_a_column_for_unknown_is_scored_and_explained(run, tmp_path: Path) -> None:
    predictions, truth = files(tmp_path, with_unknown(ISIC2019), ISIC2019)
    code, out, _ = run(predictions, truth, "--resamples", "5")
    assert code == 0
    assert "UNK" in out
    assert "No case of UNK in the truth" in out


def test_scores_that_are_no_probabilities_are_explained(run, tmp_path: Path) -> None:
    _, truth = files(tmp_path, ISIC2018, ISIC2018)
    ids = read_truth(truth, ISIC2018).ids
    write_scores(tmp_path / "votes.csv", Scores(ids, ISIC2018, np.random.default_rng(0).random((60, 7))))
    code, out, _ = run(str(tmp_path / "votes.csv"), truth, "--resamples", "5")
    assert code == 0
    assert "not measurable: rows do not" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.csv", "TRUTH"], "none.csv: cannot be read"),
        (["PREDICTIONS", "none.csv"], "none.csv: cannot be read"),
        (["PREDICTIONS", "PREDICTIONS"], "rows that are not one-hot"),
        (["PREDICTIONS", "TRUTH", "--taxonomy", "isic1"], "--taxonomy isic1: unknown; choose isic2018 or isic2019"),
        (["SHORT", "TRUTH"], "1 images of the truth have no score (ISIC_0000059)"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_two(run, tmp_path: Path, arguments: list[str], message: str) -> None:
    predictions, truth = files(tmp_path, ISIC2018, ISIC2018)
    short = tmp_path / "short.csv"
    short.write_text("".join(Path(predictions).read_text().splitlines(keepends=True)[:-1]))
    names = {"PREDICTIONS": predictions, "TRUTH": truth, "SHORT": str(short)}
    code, out, err = run(*(names.get(a, a) for a in arguments))
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


def test_the_command_runs_as_a_program(tmp_path: Path) -> None:
    predictions, truth = files(tmp_path, ISIC2018, ISIC2018)
    command = [
        sys.executable,
        "-m",
        "dermoscope.cli.main",
        "evaluate",
        predictions,
        truth,
        "--resamples",
        "5",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "80"})
    assert done.returncode == 0, done.stderr
    assert "balanced_accuracy" in json.loads(done.stdout)
