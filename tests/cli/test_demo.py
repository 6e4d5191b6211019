"""`dermoscope demo` from end to end with a real, tiny bundle: an ONNX graph that looks at the mean colour."""

import csv
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from dermoscope.cli.demo import demo
from dermoscope.core.card import Card
from dermoscope.core.errors import DermoscopeError
from dermoscope.core.taxonomy import ISIC2019
from dermoscope.data.synthetic import draw
from dermoscope.predict.bundle import Bundle, save
from dermoscope.predict.manifest import FORMAT, Manifest, Member
from dermoscope.refine.calibrate import Scaling, calibration_as_dict
from dermoscope.report.html import NOTICE

onnx = pytest.importorskip("onnx", reason="onnx is not installed: no tiny bundle can be made")
SIZE = 32


def mean_color_graph() -> bytes:
    """uint8 [n, SIZE, SIZE, 3] -> embedding [n, 3], the mean colour in [0, 1], and logits [n, 8], linear in it."""
    helper, kind = onnx.helper, onnx.TensorProto
    weight = np.random.default_rng(0).normal(0, 6, (3, 8)).astype(np.float32)
    constants = {
        "scale": np.float32(255.0),
        "axes": np.array([1, 2], np.int64),
        "weight": weight - weight.mean(0),
    }
    nodes = [
        helper.make_node("Cast", ["pictures"], ["real"], to=kind.FLOAT),
        helper.make_node("Div", ["real", "scale"], ["unit"]),
        helper.make_node("ReduceMean", ["unit", "axes"], ["embedding"], keepdims=0),
        helper.make_node("MatMul", ["embedding", "weight"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "mean-color",
        [helper.make_tensor_value_info("pictures", kind.UINT8, ["n", SIZE, SIZE, 3])],
        [
            helper.make_tensor_value_info("logits", kind.FLOAT, ["n", 8]),
            helper.make_tensor_value_info("embedding", kind.FLOAT, ["n", 3]),
        ],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "mean-color"
    manifest = Manifest(
        format=FORMAT,
        name="mean-color",
        taxonomy=ISIC2019.name,
        diagnoses=tuple((d.code, d.name, d.group) for d in ISIC2019.diagnoses),
        members=(Member(name="colour", file="model.onnx", size=SIZE),),
        views=({"zoom": 1.0},),
        calibration=calibration_as_dict(Scaling.identity(8)),
        calibration_prior=(0.125,) * 8,
        training_counts=(10,) * 8,
        decision={"codes": ("MEL", "BCC", "AK", "SCC"), "refer_at": 0.5, "sensitivity": 0.9, "smallest_side": 64},
        served=True,
        files={},
    )
    card = Card(name="mean colour", summary="for tests", licence="Apache-2.0", intended_use="tests")
    save(Bundle(manifest, {"model.onnx": mean_color_graph()}, {}, card), folder)
    return folder


@pytest.fixture
def run(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Run the command in an empty folder, with an archive that nobody serves."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DERMOSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DERMOSCOPE_ARCHIVE_URL", "http://127.0.0.1:9/api/v2")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("COLUMNS", "100")
    app = typer.Typer()
    app.command()(demo)
    return lambda *options: CliRunner().invoke(app, [*options, "--bundle", str(bundle)])


def table(out: Path) -> list[dict[str, str]]:
    with (out / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five images, two of one name in different folders, one with a hostile name, and two that cannot be read."""
    place = tmp_path / "mine"
    for number, name in enumerate(("a/one.jpg", "b/one.jpg", "two.jpg", "<script>x<b>.jpg", "b/\x1b[31mred.png")):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(draw(number, size=(160, 120)).jpeg())
    (place / "broken.jpg").write_bytes(draw(1, size=(160, 120)).jpeg()[:900])
    (place / "empty.png").write_bytes(b"")
    (place / "notes.txt").write_text("not an image, and not asked about")
    return place


def test_without_the_archive_a_dozen_synthetic_lesions_are_shown_and_labelled(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    shown = run()
    assert shown.exit_code == 0, shown.output
    assert "gave no images, so these 12 are synthetic: drawn by dermoscope, of no patient." in shown.stdout
    assert "page: out/demo/index.html" in shown.stdout
    assert NOTICE in shown.stdout
    assert "cannot reach 127.0.0.1:9" in shown.stderr
    out = tmp_path / "out" / "demo"
    rows = table(out)
    assert list(rows[0]) == ["image", *ISIC2019.codes]
    assert len(rows) == 12
    assert all(abs(sum(float(row[c]) for c in ISIC2019.codes) - 1) < 1e-9 for row in rows)
    page = (out / "index.html").read_text("utf-8")
    assert page.count('<span class="synthetic">Synthetic</span>') == page.count("<article") == 12
    assert page.count("Drawn as:") == 12
    assert "<h1>12 synthetic images</h1>" in page
    assert "mean colour" in page
    assert "SHA-256" in page
    names = sorted(path.stem for path in (out / "images").iterdir())
    assert names == sorted(row["image"] for row in rows)
    assert all(name.startswith("SYNTH_") for name in names)
    assert sorted(p.name for p in out.iterdir()) == ["images", "index.html", "predictions.csv"]


def test_a_folder_is_read_with_everything_below_it_and_failures_come_last(run, folder: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    shown = run("--images", str(folder), "--out", str(tmp_path / "o"))
    assert shown.exit_code == 2, shown.output
    rows = {row["image"] for row in table(tmp_path / "o")}
    assert rows == {"a/one.jpg", "b/one.jpg", "two", "<script>x<b>", "\ufffd[31mred"}
    page = (tmp_path / "o" / "index.html").read_text("utf-8")
    assert page.count("<article") == 5
    assert "synthetic" not in re.sub(r"<style>.*</style>", "", page, flags=re.S).lower()
    assert "<script" not in page
    assert "&lt;script&gt;x" in page
    assert "Could not be read" in page
    last = shown.stderr.rstrip().splitlines()
    assert last[-1] == "dermoscope: 2 of 7 images could not be read"
    assert "\x1b[31m" not in shown.output
    assert any("broken.jpg" in line for line in last[-3:])
    assert any("empty.png" in line for line in last[-3:])


def test_more_images_than_pictures_all_stand_in_the_table(run, folder: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    shown = run("--images", str(folder), "--out", str(tmp_path / "o"), "--pictures", "2")
    assert shown.exit_code == 2
    page = (tmp_path / "o" / "index.html").read_text("utf-8")
    assert page.count("<article") == 2
    assert "The 2 images of most concern are shown here; all 5 are listed in" in page
    assert len(table(tmp_path / "o")) == 5
    rows = sorted(table(tmp_path / "o"), key=lambda r: -sum(float(r[c]) for c in ("MEL", "BCC", "AK", "SCC")))
    for row in rows[:2]:
        assert row["image"].replace("<", "&lt;").replace(">", "&gt;") in page


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--images", "nowhere"), "nowhere: not a folder"),
        (("--images", "home"), "no image in this folder"),
        (("--out", "file/out"), "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(run, tmp_path: Path, options: tuple[str, str], words: str) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "home").mkdir()
    (tmp_path / "file").write_text("")
    shown = run(*options)
    assert isinstance(shown.exception, DermoscopeError)
    assert words in str(shown.exception)


def test_a_second_run_replaces_the_first_whole(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    run()
    first = (tmp_path / "out/demo/index.html").read_bytes()
    assert run().exit_code == 0
    assert (tmp_path / "out/demo/index.html").read_bytes() == first


def test_the_module_needs_only_typer_until_it_runs() -> None:
    code = (
        "import sys, dermoscope.cli.demo; "
        "print([m for m in ('numpy', 'pandas', 'jinja2', 'rich.table', 'httpx') if m in sys.modules])"
    )
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert seen.strip() == "[]"
