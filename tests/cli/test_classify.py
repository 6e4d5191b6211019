"""`dermoscope classify`: what stands on standard output, and how it ends."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dermoscope.core.taxonomy import ISIC2019
from dermoscope.data.files import read_scores
from dermoscope.data.synthetic import draw
from dermoscope.predict.bundle import Bundle, load, save
from dermoscope.predict.predictor import Predictor
from dermoscope.predict.views import first_views
from dermoscope.refine.prior import NAMES, estimate_prior

Cli = Callable[..., Any]
FIELDS = ["image", "probabilities", "prior", "ood", "quality", "warnings", "answer", "reasons"]


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"\xff\xd8\xff\xe0 no more than a beginning")
    return path


@pytest.fixture
def run(dermoscope: Cli, bundle_folder: Path) -> Cli:
    """`classify` with the tiny bundle."""
    return lambda *arguments: dermoscope("classify", *arguments, "--bundle", bundle_folder)


def test_csv_is_a_submission_of_the_bundles_diagnoses(run: Cli, images: list[Path], predictor: Predictor) -> None:
    said = run(*images[:3], "--csv")
    assert said.code == 0
    rows = list(csv.reader(io.StringIO(said.out)))
    assert rows[0] == ["image", *ISIC2019.codes]
    assert [row[0] for row in rows[1:]] == [p.stem for p in images[:3]]
    expected = predictor.refine(predictor.predict(images[:3])).values
    for row, values in zip(rows[1:], expected, strict=True):
        told = [float(cell) for cell in row[1:]]
        assert sum(told) == pytest.approx(1, abs=1e-12)
        np.testing.assert_allclose(told, values, rtol=1e-6)
        assert [repr(v) for v in told] == row[1:]  # shortest text that is the same float64
    assert read_scores(io.StringIO(said.out), ISIC2019).ids == tuple(p.stem for p in images[:3])


def test_csv_of_one_image_and_json_agree_to_the_last_bit(run: Cli, images: list[Path]) -> None:
    (row,) = csv.DictReader(io.StringIO(run(images[0], "--csv").out))
    (told,) = json.loads(run(images[0], "--json").out)
    assert {code: float(row[code]) for code in ISIC2019.codes} == told["probabilities"]


def test_json_has_exactly_these_fields(run: Cli, images: list[Path]) -> None:
    said = run(*images[:2], "--json")
    told = json.loads(said.out)
    assert [list(entry) for entry in told] == [FIELDS, FIELDS]
    assert all(entry["prior"] == "uniform" for entry in told)  # the bundle's default
    assert all(entry["answer"] in ("refer", "low_concern", "cannot_assess") for entry in told)


def test_a_folder_is_searched_below(run: Cli, synthetic: Path, images: list[Path]) -> None:
    said = run(synthetic, "--json")
    assert [entry["image"] for entry in json.loads(said.out)] == [p.stem for p in images]
    assert all(line.startswith("classifying: ") for line in said.err.splitlines())  # progress, where it takes long


def test_one_image_on_standard_input(bundle_folder: Path, images: list[Path]) -> None:
    command = [sys.executable, "-m", "dermoscope.cli.main", "classify", "-", "--json", "--bundle", str(bundle_folder)]
    said = subprocess.run(command, input=images[0].read_bytes(), capture_output=True, check=False, timeout=120)
    assert said.returncode == 0
    assert said.stderr == b""
    assert [entry["image"] for entry in json.loads(said.stdout)] == ["stdin"]
    empty = subprocess.run(command, input=b"", capture_output=True, check=False, timeout=120)
    assert empty.returncode == 2
    assert json.loads(empty.stdout) == []
    assert b"stdin: " in empty.stderr


def test_the_table_for_people(run: Cli, images: list[Path], bundle: Bundle) -> None:
    said = run(*images[:2])
    assert said.code == 0
    assert "prior: uniform (shifted); bundle" in said.out
    for part in (images[0].stem, "most probable", bundle.sha256[:12], "not a medical device"):
        assert part in said.out


def test_broken_images_are_listed_and_the_rest_is_done(run: Cli, images: list[Path], broken: Path) -> None:
    said = run(images[0], broken, images[1], "absent.jpg", "--csv")
    assert said.code == 2
    assert [row["image"] for row in csv.DictReader(io.StringIO(said.out))] == [images[0].stem, images[1].stem]
    assert f"dermoscope: {broken}: " in said.err
    assert "dermoscope: absent.jpg: no such file; check the path" in said.err
    assert said.err.endswith("dermoscope: 2 of 4 images could not be read\n")
    assert "Traceback" not in said.err


def test_nothing_but_broken_images(run: Cli, broken: Path) -> None:
    assert run(broken, "--csv")[:2] == (2, "image," + ",".join(ISIC2019.codes) + "\n")
    assert run(broken, "--json")[:2] == (2, "[]\n")
    assert run(broken)[:2] == (2, "")


def test_two_files_of_one_name(run: Cli, images: list[Path], tmp_path: Path) -> None:
    other = tmp_path / images[0].name
    other.write_bytes(images[1].read_bytes())
    said = run(images[0], other, "--csv")
    assert (said.code, said.out) == (2, "")
    assert f"these share one: {images[0]} and {other}; rename one of them" in said.err


@pytest.mark.parametrize("name", ["calibration", "uniform", "training", *NAMES])
def test_priors_by_name(name: str, run: Cli, images: list[Path], predictor: Predictor) -> None:
    (told,) = json.loads(run(images[0], "--json", "--prior", name).out)
    assert told["prior"] == name
    plain = predictor.refine(predictor.predict([images[0]]), "calibration").values[0]
    same = np.allclose(list(told["probabilities"].values()), plain, rtol=1e-6)
    assert same == (name == "calibration")  # which means no shift


def logs(run: Cli, paths: list[Path], *arguments: str) -> np.ndarray:
    """Logarithms of the probabilities in the JSON, [images, diagnoses]."""
    told = json.loads(run(*paths, "--json", *arguments).out)
    return np.log([list(entry["probabilities"].values()) for entry in told])


def moved(shifted: np.ndarray, calibrated: np.ndarray) -> np.ndarray:
    """How far each logarithm went, up to a constant per image."""
    difference = shifted - calibrated
    return np.asarray(difference - difference.mean(axis=1, keepdims=True))


def test_uniform_moves_logarithms_by_minus_that_of_the_calibration_prior(
    run: Cli, images: list[Path], predictor: Predictor
) -> None:
    expected = -np.log(predictor.bundle.prior("calibration").values)
    found = moved(logs(run, images[:6], "--prior", "uniform"), logs(run, images[:6], "--prior", "calibration"))
    np.testing.assert_allclose(found, np.tile(expected - expected.mean(), (6, 1)), atol=1e-9)


def test_so_does_the_bundled_model(dermoscope: Cli, images: list[Path]) -> None:
    if "default" not in {point.name for point in entry_points(group="dermoscope.bundles")}:
        pytest.skip("no weights are installed: there is no bundled model to ask")

    def ask(*arguments: Any) -> Any:
        return dermoscope("classify", *arguments)

    expected = -np.log(load("default").prior("calibration").values)
    few = images[::40]
    found = moved(logs(ask, few, "--prior", "uniform"), logs(ask, few, "--prior", "calibration"))
    np.testing.assert_allclose(found, np.tile(expected - expected.mean(), (len(few), 1)), atol=1e-9)


def test_a_prior_estimated_from_the_images(run: Cli, images: list[Path], predictor: Predictor) -> None:
    said = run(*images, "--json", "--views", "1", "--prior", "estimate")
    assert said.code == 0
    told = json.loads(said.out)
    assert {entry["prior"] for entry in told} == {f"estimated from {len(images)} images"}
    calibrated = predictor.refine(predictor.predict(images, views=1), "calibration")
    source = predictor.bundle.prior("calibration")
    found = estimate_prior(calibrated, source)
    expected = predictor.refine(predictor.predict(images[:1], views=1), found.prior).values[0]
    np.testing.assert_allclose(list(told[0]["probabilities"].values()), expected, rtol=1e-4)
    (line,) = [line for line in said.err.splitlines() if line.startswith("dermoscope: ")]
    assert line.startswith(
        f"dermoscope: prior estimated from {len(images)} images, 95 % intervals: MEL {found.shares['MEL'].text()}, NV "
    )


def test_a_prior_is_not_estimated_from_few_images(run: Cli, images: list[Path]) -> None:
    said = run(*images[:3], "--json", "--prior", "estimate")
    assert (said.code, said.out) == (2, "")
    assert said.err == (
        "dermoscope: a prior cannot be estimated from 3 images: give at least 100, or a prior by name or file\n"
    )


def test_only_the_calibration_prior_is_shown_as_calibrated(run: Cli, images: list[Path]) -> None:
    assert "prior: calibration; bundle" in run(images[0], "--prior", "calibration").out
    for name in ("uniform", "training"):
        assert f"prior: {name} (shifted); bundle" in run(images[0], "--prior", name).out


def test_the_site_moves_answers_and_no_probability(
    run: Cli, images: list[Path], bundle: Bundle, tmp_path: Path
) -> None:
    shares = dict.fromkeys(bundle.taxonomy.codes, 0.001) | {"MEL": 1000.0}
    (tmp_path / "clinic.csv").write_text("".join(f"{code},{share}\n" for code, share in shares.items()))
    said = [
        run(*images[:8], "--json", *site)
        for site in ((), ("--site", "general_practice"), ("--site", tmp_path / "clinic.csv"))
    ]
    home, few, many = (json.loads(s.out) for s in said)
    assert [e["probabilities"] for e in home] == [e["probabilities"] for e in few] == [e["probabilities"] for e in many]
    assert {e["answer"] for e in many} <= {"refer", "cannot_assess"}
    assert [(a["answer"], b["answer"]) for a, b in zip(few, many, strict=True)].count(("refer", "low_concern")) == 0


def test_a_prior_from_a_file(run: Cli, images: list[Path], bundle: Bundle, tmp_path: Path) -> None:
    shares = dict(zip(ISIC2019.codes, bundle.manifest.training_counts, strict=True))
    for path, text in (
        (tmp_path / "clinic.json", json.dumps(shares)),
        (tmp_path / "calibration.csv", "\n".join(f"{code},{n}" for code, n in shares.items())),
    ):
        path.write_text(text)
        (told,) = json.loads(run(images[0], "--json", "--prior", path).out)
        (named,) = json.loads(run(images[0], "--json", "--prior", "training").out)
        assert told["prior"] == path.name
        assert told["probabilities"] == pytest.approx(named["probabilities"], rel=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--site", "vienna"), "no setting 'vienna'; there are general_practice, skin_cancer_clinic, referral_centre"),
        (("--prior", "vienna"), "no prior 'vienna'; there are calibration, uniform, training, estimate, ham10000"),
        (("--prior", "absent.csv"), "no prior 'absent.csv'; there are calibration"),
        (("--views", "0"), "0 views per image: give 1 to 16"),
        (("--views", "17"), "17 views per image: give 1 to 16"),
        (("--csv", "--json"), "--csv and --json exclude each other"),
    ],
)
def test_options_that_do_not_exist(arguments: tuple[str, ...], message: str, run: Cli, images: list[Path]) -> None:
    said = run(images[0], *arguments)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("dermoscope: ")
    assert message in said.err


def test_a_prior_file_that_holds_none(run: Cli, images: list[Path], tmp_path: Path) -> None:
    (tmp_path / "few.csv").write_text("MEL,1\nNV,2\n")
    said = run(images[0], "--prior", tmp_path / "few.csv")
    assert said.code == 2
    assert f"{tmp_path / 'few.csv'}: a prior over isic2019 needs one number per diagnosis (missing: BCC, AK" in said.err


def test_more_views_change_the_answer_a_little(run: Cli, images: list[Path]) -> None:
    (one,) = json.loads(run(images[0], "--json", "--views", "1").out)
    (eight,) = json.loads(run(images[0], "--json", "--views", "8").out)
    assert one["probabilities"] != eight["probabilities"]


def test_a_missing_bundle_or_folder(dermoscope: Cli, run: Cli, images: list[Path], tmp_path: Path) -> None:
    said = dermoscope("classify", images[0], "--bundle", tmp_path / "nowhere")
    assert said.code == 2
    assert "no bundle " in said.err
    (tmp_path / "empty").mkdir()
    said = run(tmp_path / "empty")
    assert said.code == 2
    assert "empty: no image files in this folder or below" in said.err


COLD = """
import sys
from dermoscope.cli.main import main
try:
    main()
finally:
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    print(status["VmHWM"].split()[0], file=sys.stderr)
    print(sorted({"pandas", "torch", "matplotlib", "scipy"} & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc: Linux only")
def test_one_image_cold_stays_below_300_mb(bundle: Bundle, tmp_path: Path) -> None:
    from dermoscope.train.export import to_onnx
    from dermoscope.train.networks import Reader, build

    graph = to_onnx(Reader(build("tf_efficientnet_lite0", 8)).eval(), 224)
    assert len(graph) < 20e6
    member = bundle.members[0].model_copy(update={"size": 224})
    shipped = bundle.manifest.model_copy(update={"members": (member,), "views": first_views(8)})
    save(replace(bundle, manifest=shipped, graphs={"model.onnx": graph}, arrays={}), tmp_path / "lite0")
    (tmp_path / "lesion.jpg").write_bytes(draw(1, "MEL").jpeg())
    command = [sys.executable, "-c", COLD, "classify", "lesion.jpg", "--json", "--bundle", "lite0"]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert len(json.loads(said.stdout)) == 1
    peak, heavy = said.stderr.splitlines()
    assert int(peak) < 300_000, f"{int(peak) / 1000:.0f} MB"
    assert heavy == "[]"  # none of them is needed to classify
