"""`dermoscope report`: a run or two files become a page; bad input is one sentence."""

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from dermoscope.cli.report_input import Asked, gather, with_pictures
from dermoscope.core.card import RunCard
from dermoscope.core.probabilities import Probabilities
from dermoscope.core.truth import Truth
from dermoscope.data.files import read_truth, write_scores, write_truth
from dermoscope.data.readers import read_cases
from dermoscope.report.dossier import measure

pytest.importorskip("matplotlib", reason="matplotlib is not installed: no report can be drawn")

QUICK = ("--resamples", "5")


@pytest.fixture(scope="module")
def files(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder as `dermoscope train` leaves it, of the synthetic data set; no network was trained for it."""
    folder = tmp_path_factory.mktemp("report") / "run"
    cases = read_cases(synthetic)
    rng = np.random.default_rng(0)
    values = np.exp(rng.normal(size=(len(cases), 8)) + 2 * np.eye(8)[cases.labels])
    values /= values.sum(axis=1, keepdims=True)
    folder.mkdir()
    write_scores(folder / "validation-predictions.csv", Probabilities(cases.ids, cases.taxonomy, values))
    write_scores(folder / "validation-predictions-calibration.csv", Probabilities(cases.ids, cases.taxonomy, values))
    write_truth(folder / "validation-truth.csv", Truth.from_cases(cases))
    card = RunCard(
        name="mine",
        state="finished",
        started="2026-01-02T03:04:05+00:00",
        changed="2026-01-02T03:09:05+00:00",
        seed=0,
        data={"name": "drawn lesions", "given": str(synthetic), "sha256": "d" * 64, "split": "hash of the lesion"},
        recipe={"backbone": "none", "prior": "uniform"},
        code={"version": "0.1.0"},
        environment={"python": "3.11"},
        bundles={"chosen": "b" * 64},
    )
    (folder / "run.json").write_text(card.model_dump_json())
    (folder / "chosen-run").mkdir()
    (folder / "chosen-run" / "log.jsonl").write_text('{"stage": "head", "epoch": 1, "loss": 1.5, "macro_auc": 0.7}\n')
    return folder


@pytest.fixture
def pair(files: Path) -> tuple[Path, Path]:
    """Its predictions and truth."""
    return files / "validation-predictions.csv", files / "validation-truth.csv"


def test_a_run_becomes_a_page_a_pdf_and_latex(files, tmp_path, dermoscope):
    pytest.importorskip("weasyprint", reason="WeasyPrint is not installed: no PDF can be made")
    said = dermoscope("report", files, "--pdf", "--paper", "letter", "--latex", tmp_path / "tex", "--json", *QUICK)
    assert (said.code, said.err.count("warning")) == (0, 0)
    found = json.loads(said.out)
    assert found["page"] == str(files / "report.html")
    assert found["pdf"] == str(files / "report.pdf")
    assert found["latex"] == str(tmp_path / "tex" / "main.tex")
    assert (files / "report.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "tex" / "tables" / "headline.tex").is_file()
    assert (tmp_path / "tex" / "figures" / "roc.pdf").read_bytes().startswith(b"%PDF")
    page = (files / "report.html").read_text()
    assert page.count("data:image/jpeg") >= 8
    assert "160 images of 131 lesions of drawn lesions, role validation, by the bundle bbbbbbbbbbbb" in page
    assert "the predictions under the calibration prior" in page
    assert "the predictions under the prior &#39;uniform&#39;" in page
    assert "Training: loss" in page
    assert f"dermoscope report {files} --resamples 5" in page
    pair = files / "validation-predictions.csv", files / "validation-truth.csv"
    assert found["figures"] == json.loads(dermoscope("evaluate", *pair, "--json", *QUICK).out)


def test_predictions_from_elsewhere(pair, tmp_path, dermoscope, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = dermoscope("report", *pair, "--title", "Ours & theirs", *QUICK)
    assert re.match(r"balanced accuracy 0\.\d{3} \[.*\], 131 lesions\npage: report\.html\n$", said.out)
    page = Path("report.html").read_text()
    assert "<h1>Ours &amp; theirs</h1>" in page
    assert "Without pictures: --data names the data set" in page
    assert "nothing is known of source" in page
    assert "data:image/jpeg" not in page


def test_data_and_calibrated_predictions_that_are_named_are_used(pair, synthetic):
    given, where, warnings = gather(Asked(*map(str, pair), str(synthetic), str(pair[0])))
    assert given.calibrated is not None
    assert {case.sex for case in given.cases} == {"female", "male"}
    assert where.calibrated == "the calibrated predictions in validation-predictions.csv"
    assert (where.no_pictures, warnings) == ("", [])
    assert where.command == f"dermoscope report {pair[0]} {pair[1]} --data {synthetic} --calibrated {pair[0]}"
    assert [what for what, *_ in where.files] == ["predictions", "calibrated predictions", "truth"]


def test_lesions_of_the_data_set_serve_a_truth_without(pair, synthetic, tmp_path):
    truth = read_truth(pair[1], read_cases(synthetic).taxonomy)
    write_truth(tmp_path / "bare.csv", Truth(truth.ids, truth.taxonomy, truth.labels))
    alone, *_ = gather(Asked(str(pair[0]), str(tmp_path / "bare.csv")))
    known, *_ = gather(Asked(str(pair[0]), str(tmp_path / "bare.csv"), str(synthetic)))
    assert alone.truth.groups is None
    assert known.truth.groups == truth.groups


def test_eight_diagnoses_are_brought_to_seven(pair):
    given, _, warnings = gather(Asked(*map(str, pair), taxonomy="isic2018"))
    assert len(given.scores.taxonomy) == len(given.truth.taxonomy) == 7
    assert any("AK and SCC of the predictions are counted as AKIEC" in warning for warning in warnings)


def test_the_data_of_a_run_may_be_elsewhere(files, tmp_path):
    away = tmp_path / "run"
    away.mkdir()
    for name in ("validation-predictions.csv", "validation-truth.csv"):
        (away / name).write_bytes((files / name).read_bytes())
    card = json.loads((files / "run.json").read_text())
    card["data"]["given"] = "/nowhere/at/all"
    (away / "run.json").write_text(json.dumps(card))
    given, where, warnings = gather(Asked(str(away)))
    assert (given.calibrated, given.cases) == (None, ())
    assert warnings[0].startswith("the data set of the run is not at hand (no data set and no path '/nowhere/at/all'")
    assert where.no_pictures.startswith("Without pictures: the data set of the run is not at hand")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere/run.json: cannot be read (No such file or directory); give a folder that `dermoscope"),
        (["PREDICTIONS"], "is a file: give its truth too, dermoscope report "),
        (["RUN", "TRUTH"], "is a folder: a run needs no truth file"),
        (["EMPTY"], "validation-predictions.csv and validation-truth.csv missing (the run is running)"),
        (["PREDICTIONS", "none.csv"], "none.csv: cannot be read"),
        (["PREDICTIONS", "SHORT"], "1 scores have no truth (SYNTH_"),
        (["PREDICTIONS", "TRUTH", "--calibrated", "none.csv"], "none.csv: cannot be read"),
        (["PREDICTIONS", "TRUTH", "--taxonomy", "isic1"], "--taxonomy isic1: unknown; choose isic2018 or isic2019"),
        (["PREDICTIONS", "TRUTH", "--data", "nowhere"], "no data set and no path 'nowhere'"),
        (["PREDICTIONS", "TRUTH", "--data", "OTHER"], "none of the 160 images of"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_two(arguments, message, files, pair, tmp_path, dermoscope):
    short = tmp_path / "short.csv"
    short.write_text("".join(pair[1].read_text().splitlines(keepends=True)[:-1]))
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "run.json").write_text((files / "run.json").read_text().replace('"finished"', '"running"'))
    other = tmp_path / "other"
    other.mkdir()
    (other / "table.csv").write_text("image,diagnosis\nx.jpg,NV\n")
    (other / "x.jpg").write_bytes(b"x")
    names = {"PREDICTIONS": pair[0], "TRUTH": pair[1], "RUN": files, "SHORT": short, "EMPTY": empty, "OTHER": other}
    said = dermoscope("report", *(names.get(a, a) for a in arguments), "--out", tmp_path / "r.html", *QUICK)
    assert (said.code, said.out) == (2, "")
    assert message in said.err
    assert not (tmp_path / "r.html").exists()


def test_without_the_extra_the_command_says_what_to_install(files, dermoscope, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said = dermoscope("report", files)
    assert (said.code, said.out) == (1, "")
    assert (
        said.err == "dermoscope: figures need matplotlib: pip install -c constraints.txt -e '.[report]' in the clone\n"
    )


def test_real_images_have_sources_and_sizes(tmp_path):
    if not os.environ.get("DERMOSCOPE_DATA"):
        pytest.skip("DERMOSCOPE_DATA is not set: no real images to report on")
    from dermoscope.studies.headline import validation_split

    cases = validation_split().cases
    cases = cases.take(cases.ids[::20])
    values = np.full((len(cases), 8), 0.01) + 0.92 * np.eye(8)[(cases.labels + (np.arange(len(cases)) % 5 == 0)) % 8]
    write_scores(tmp_path / "p.csv", Probabilities(cases.ids, cases.taxonomy, values))
    write_truth(tmp_path / "t.csv", Truth.from_cases(cases))
    given, where, _ = gather(Asked(str(tmp_path / "p.csv"), str(tmp_path / "t.csv"), "ham10000", resamples=2))
    assert set(given.sizes.values()) == {"224 × 224 px", "200 × 150 px"}
    measured = measure(given)
    assert len(measured.groups["source"]) >= 3
    found = with_pictures(where, given, measured, lambda *_: None)
    assert found.pictures
    assert all(picture.startswith(b"\xff\xd8") for picture in found.pictures.values())
