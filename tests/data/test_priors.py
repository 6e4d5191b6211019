"""Priors from files, and what is said of files that hold none."""

from pathlib import Path

import numpy as np
import pytest

from dermoscope.core.errors import TableError
from dermoscope.core.taxonomy import Diagnosis, Taxonomy
from dermoscope.data.priors import read_prior

THREE = Taxonomy(
    "three",
    (Diagnosis("A", "first", "malignant"), Diagnosis("B", "second", "benign"), Diagnosis("C", "third", "benign")),
)


def file(folder: Path, text: str, name: str = "clinic.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        '{"C": 0.5, "A": 0.2, "B": 0.3}',
        '\n  {"A": 20, "B": 30, "C": 50}',
        "A,0.2\nB,0.3\nC,0.5\n",
        "diagnosis,share\r\nC,50\r\n\r\nB,30\r\nA,20\r\n",
        "﻿A, 2\nB, 3\nC, 5",
        " A ,2e1\nB,3e1\nC,5e1",
    ],
)
def test_json_and_csv_in_any_order_and_scale(text: str, tmp_path: Path) -> None:
    found = read_prior(file(tmp_path, text), THREE)
    np.testing.assert_allclose(found.values, [0.2, 0.3, 0.5])
    assert found.name == "clinic.csv"


def test_a_file_called_like_a_built_in_prior_keeps_its_extension(tmp_path: Path) -> None:
    assert read_prior(file(tmp_path, "A,1\nB,1\nC,8", "calibration.csv"), THREE).name == "calibration.csv"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A,1\nB,2", "a prior over three needs one number per diagnosis (missing: C; unknown: none)"),
        ("A,1\nB,2\nC,3\nX,4", "a prior over three needs one number per diagnosis (missing: none; unknown: X)"),
        ('{"A": 1}', "a prior over three needs one number per diagnosis (missing: B, C; unknown: none)"),
        ("A,1\nB,2\nC,3\nA,4", "A stand more than once; give one number per diagnosis"),
        ('{"A": 1, "B": 2, "C": 3, "B": 9}', "B stand more than once; give one number per diagnosis"),
        ("A,1\nB,0\nC,3", "prior 'clinic.csv': the share of B is not above 0; give numbers above 0"),
        ("A,1\nB,-2\nC,3", "prior 'clinic.csv': the share of B is not above 0; give numbers above 0"),
        ("A,1\nB,nan\nC,3", "not above 0; give numbers above 0"),
        ('{"A": 1, "B": NaN, "C": 3}', "not above 0; give numbers above 0"),
        ("A,1\nB,many\nC,3", "not lines of diagnosis,number: B,many"),
        ("A,1,2\nB,2\nC,3", "not lines of diagnosis,number: A,1,2"),
        ("", "not lines of diagnosis,number: the file is empty"),
        ("diagnosis,share\n", "not lines of diagnosis,number: the file is empty"),
        ('{"A": "many"}', "not a JSON object of numbers (could not convert string to float: 'many')"),
        ('{"A": 1, "B": {}}', "not a JSON object of numbers"),
        ('{"A": 1,', "not a JSON object of numbers (Expecting property name enclosed in double quotes"),
        ("A," + "9" * 200_000, "not a CSV file (field larger than field limit (131072)); write lines of"),
    ],
)
def test_what_is_said_of_a_file_that_holds_no_prior(text: str, message: str, tmp_path: Path) -> None:
    path = file(tmp_path, text)
    with pytest.raises(TableError) as caught:
        read_prior(path, THREE)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"absent\.csv: cannot be read \(No such file or directory\); check the path"):
        read_prior(tmp_path / "absent.csv", THREE)
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00A")
    with pytest.raises(TableError, match=r"binary\.csv: cannot be read"):
        read_prior(tmp_path / "binary.csv", THREE)
