"""`dermoscope submit`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dermoscope.core.taxonomy import ISIC2018, ISIC2019
from dermoscope.data.files import read_scores

Cli = Callable[..., Any]
ROWS = "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC\na,0.25,0.45,0,0.1,0.2,0,0,0\nb,0.1,0.6,0,0,0,0,0,0.3\n"


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    path = tmp_path / "predictions.csv"
    path.write_text(ROWS)
    return path


def test_to_standard_output(dermoscope: Cli, predictions: Path) -> None:
    said = dermoscope("submit", predictions, "--challenge", "isic2019")
    assert said.code == 0
    assert said.out.splitlines()[:2] == [
        "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK",
        "a,0.25,0.45,0.0,0.1,0.2,0.0,0.0,0.0,0.0",
    ]
    assert said.err == "standard output: 2 images, 9 columns, calibrated\n"


def test_to_a_file_with_operating_points(dermoscope: Cli, predictions: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    arguments = ("--challenge", "isic2018", "--form", "operating-point", "--at", "MEL=0.2", "--at", "0.4", "--out", out)
    said = dermoscope("submit", predictions, *arguments, "--at", "NV=0.5")
    assert said.out == f"{out}: 2 images, 7 columns, operating-point\n"
    assert said.err.startswith("dermoscope: 1 images where another diagnosis is above its operating point")
    scores = read_scores(out, ISIC2018)
    assert scores.values.argmax(axis=1).tolist() == [1, 1]
    assert (scores.column("MEL") > 0.5).tolist() == [True, False]
    told = json.loads(dermoscope("submit", predictions, *arguments, "--json").out)
    assert told["columns"] == list(ISIC2018.codes)
    assert told["conflicts"] == []


def test_strangeness_becomes_unknown(dermoscope: Cli, predictions: Path, tmp_path: Path) -> None:
    ood, out = tmp_path / "ood.csv", tmp_path / "out.csv"
    ood.write_text("image,ood\na,0.999\nb,0.3\n")
    said = dermoscope("submit", predictions, "--challenge", "isic2019", "--ood", ood, "--out", out)
    assert said.code == 0, said.err
    assert read_scores(out, ISIC2019).values.argmax(axis=1).tolist() == [8, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--challenge", "isic2017"), "no challenge 'isic2017'"),
        (("--challenge", "isic2018", "--ood", "x.csv"), "isic2018 has no column UNK; --ood is for isic2019"),
        (("--challenge", "isic2019", "--form", "best"), "no form 'best'; there are calibrated, operating-point"),
        (("--challenge", "isic2019", "--at", "0.2"), "--at is for --form operating-point"),
        (("--challenge", "isic2019", "--json"), "--json needs --out"),
        (("--challenge", "isic2019", "--ood", "x.csv"), "x.csv: cannot be read (No such file or directory); check"),
        (("--challenge", "isic2019", "--ood", "x.json"), "x.json: cannot be read (No such file or directory); check"),
        (("--challenge", "isic2019", "--unknown-from", "1"), "strangeness limit 1: it must be between 0 and 1"),
    ],
)
def test_what_cannot_be_submitted(
    arguments: tuple[str, ...], message: str, dermoscope: Cli, predictions: Path, tmp_path: Path
) -> None:
    out = [] if "--json" in arguments else ["--out", tmp_path / "out.csv"]
    said = dermoscope("submit", predictions, *arguments, *out)
    assert (said.code, said.out) == (2, "")
    assert message in said.err
    assert not (tmp_path / "out.csv").exists()
