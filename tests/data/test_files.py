"""Submission and truth files: what is read, what is refused and how it is said."""

import io
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dermoscope.core.errors import TableError
from dermoscope.core.probabilities import Scores
from dermoscope.core.taxonomy import ISIC2018, ISIC2019
from dermoscope.core.truth import Truth
from dermoscope.data.files import guess_taxonomy, read_scores, read_truth, write_scores, write_truth

HEADER = "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC"
ROW = "0.4,0.1,0.1,0.1,0.1,0.1,0.1"


def stream(*lines: str) -> io.StringIO:
    return io.StringIO("\n".join(lines) + "\n")


def test_columns_may_stand_in_any_order() -> None:
    scores = read_scores(stream("NV,image,VASC,MEL,BCC,AKIEC,BKL,DF", "0.9,a,0.1,0,0,0,0,0"), ISIC2018)
    assert scores.ids == ("a",)
    assert scores.values.tolist() == [[0, 0.9, 0, 0, 0, 0, 0.1]]


def test_ids_lose_jpg_and_the_file_may_have_spaces_blank_lines_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_bytes(f"\ufeff{HEADER}\r\n a.JPG ,{ROW}\r\n\r\nb.jpg,{ROW}\r\n".encode())
    assert read_scores(path, ISIC2018).ids == ("a", "b")


def test_a_column_for_unknown_stays_a_column() -> None:
    scores = read_scores(stream(f"image,{','.join(ISIC2019.codes)},UNK", "a" + ",0.1" * 9), ISIC2019)
    assert scores.taxonomy.codes == (*ISIC2019.codes, "UNK")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([HEADER, f"a,{ROW}", f"a.jpg,{ROW}"], "images with more than one row: a; keep one row of each"),
        (["image,MEL,NV", "a,1,0"], "missing columns: 'BCC', 'AKIEC', 'BKL', 'DF', 'VASC'; expected image,MEL"),
        ([f"{HEADER},SCC", f"a,{ROW},0"], "extra columns: 'SCC'"),
        ([f"{HEADER},MEL", f"a,{ROW},0"], "repeated columns: 'MEL'"),
        ([HEADER.replace("image", "name"), f"a,{ROW}"], "missing columns: 'image'"),
        ([HEADER, "a,,0,0,0,0,0,0"], r"no number in column 'MEL': a \(line 2\); every field needs one"),
        ([HEADER, f"a,{ROW}", "b,nan,0,0,0,0,0,0"], r"no number in column 'MEL': b \(line 3\)"),
        ([HEADER, "a,0,x,0,0,0,0,0"], r"no number in column 'NV': a \(line 2\)"),
        ([HEADER, "a,0_1,0,0,0,0,0,0"], r"no number in column 'MEL': a \(line 2\)"),
        ([HEADER, "a,inf,0,0,0,0,0,0"], r"values outside \[0, 1\]: a \(line 2\); give probabilities, not logits"),
        ([HEADER, "a,1.1,0,0,0,0,0,0", "b,-0.1,0,0,0,0,0,0"], r"outside \[0, 1\]: a \(line 2\), b \(line 3\)"),
        ([HEADER, f",{ROW}"], "no image id on lines 2"),
        ([HEADER, f"a,{ROW}", "b,0.1"], "lines 3 do not have 8 fields"),
        ([HEADER, f"a,{ROW},0.3"], "lines 2 do not have 8 fields"),
        ([HEADER], "a header but no line below it"),
        ([""], "the file is empty"),
    ],
)
def test_a_broken_submission_is_refused_with_file_and_rows(lines: list[str], message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(TableError, match=message) as error:
        read_scores(path, ISIC2018)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", b"\x00\x01\x02", b'image,"MEL\n', b"\n\n"]
)
def test_what_is_no_table_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "picture.csv"
    path.write_bytes(content)
    for read in (read_scores, read_truth):
        with pytest.raises(TableError, match=r"picture\.csv"):
            read(path, ISIC2018)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(TableError, match="cannot be read"):
            read_scores(path, ISIC2018)


TRUTH = "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK"


def test_truth_reads_labels_weights_and_groups() -> None:
    truth = read_truth(
        stream(
            f"{TRUTH},score_weight,validation_weight,lesion_id,patient_id",
            "ISIC_0000001_downsampled,1.0,0,0,0,0,0,0,0,0,1,0,L1,P1",
            "ISIC_2,0,0,0,0,0,0,0,0,1,0.5,1,,",
            "ISIC_0035068,0,1,0,0,0,0,0,0,0,1,1,L2,",
        ),
        ISIC2019,
    )
    assert truth.ids == ("ISIC_0000001_downsampled", "ISIC_2", "ISIC_0035068")
    assert truth.labels.tolist() == [0, -1, 1]
    assert truth.score_weight.tolist() == [1.0, 0.5, 0.0]
    assert truth.validation_weight.tolist() == [0.0, 1.0, 0.0]
    assert truth.groups == ("L1", "ISIC_2", "L2")
    assert truth.patients == ("P1", "ISIC_2", "L2")


@pytest.mark.parametrize(
    "row", ["0,0,0,0,0,0,0,0,0", "1,1,0,0,0,0,0,0,0", "0.5,0.5,0,0,0,0,0,0,0", "2,0,0,0,0,0,0,0,-1"]
)
def test_truth_must_be_one_hot(row: str) -> None:
    with pytest.raises(TableError, match=r"rows that are not one-hot: b \(line 3\); write 1 for the diagnosis"):
        read_truth(stream(TRUTH, "a,1,0,0,0,0,0,0,0,0", f"b,{row}"), ISIC2019)


def test_truth_refuses_negative_weights_and_strange_columns() -> None:
    with pytest.raises(TableError, match=r"score_weight that is negative or infinite: a \(line 2\)"):
        read_truth(stream(f"{TRUTH},score_weight", "a,1,0,0,0,0,0,0,0,0,-1"), ISIC2019)
    with pytest.raises(TableError, match="extra columns: 'age'"):
        read_truth(stream(f"{TRUTH},age", "a,1,0,0,0,0,0,0,0,0,50"), ISIC2019)


def test_the_taxonomy_is_read_off_the_columns() -> None:
    assert guess_taxonomy(stream(HEADER, f"a,{ROW}")) == ISIC2018
    source = stream(TRUTH, "a,1,0,0,0,0,0,0,0,0")
    assert guess_taxonomy(source) == ISIC2019
    assert len(read_truth(source, ISIC2019)) == 1
    with pytest.raises(TableError, match=r"fit no known taxonomy \(isic2018: MEL,NV"):
        guess_taxonomy(stream("image,melanoma", "a,1"))


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=7, max_size=7))
def test_scores_survive_a_round_trip_bit_for_bit(values: list[float]) -> None:
    scores = Scores(("a",), ISIC2018, np.array([values]))
    file = io.StringIO()
    write_scores(file, scores)
    file.seek(0)
    back = read_scores(file, ISIC2018)
    assert back.values.tobytes() == scores.values.tobytes()


def test_the_smallest_numbers_are_not_rounded_to_nought(tmp_path: Path) -> None:
    tiny = [5e-324, 1e-300, 1e-17, math.nextafter(1, 0), 0.1 + 0.2, 1 / 3, 1.0]
    write_scores(tmp_path / "s.csv", Scores(("a",), ISIC2018, np.array([tiny])))
    assert read_scores(tmp_path / "s.csv", ISIC2018).values.tolist() == [tiny]


@settings(deadline=None)
@given(st.data())
def test_truth_survives_a_round_trip(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 6))
    labels = np.array(data.draw(st.lists(st.integers(-1, 7), min_size=n, max_size=n)), dtype=np.int64)
    weights = np.array(data.draw(st.lists(st.floats(0, 10), min_size=n, max_size=n)))
    groups = tuple(f"L{k // 2}" for k in range(n))
    truth = Truth(tuple(f"i{k}" for k in range(n)), ISIC2019, labels, weights, groups=groups)
    file = io.StringIO()
    write_truth(file, truth)
    file.seek(0)
    back = read_truth(file, ISIC2019)
    assert back.ids == truth.ids
    assert back.groups == groups
    assert back.labels.tolist() == labels.tolist()
    assert back.score_weight.tobytes() == weights.tobytes()


def test_a_failed_write_leaves_the_old_file_and_no_scrap(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text("old")
    scores = Scores(("a", "\ud800"), ISIC2018, np.full((2, 7), 0.1))  # a lone surrogate cannot be encoded
    with pytest.raises(UnicodeEncodeError):
        write_scores(path, scores)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"none/s\.csv: cannot be written"):
        write_scores(tmp_path / "none" / "s.csv", Scores(("a",), ISIC2018, np.full((1, 7), 0.1)))
