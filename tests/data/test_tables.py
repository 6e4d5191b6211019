"""Tables: how a CSV is read, what its columns and words mean, and every refusal."""

from pathlib import Path

import pytest

from dermoscope.core.errors import InputError, TableError
from dermoscope.core.taxonomy import ISIC2018, ISIC2019, Diagnosis, Taxonomy
from dermoscope.data.tables import Table, choose_taxonomy, label_map, one_hot_labels, plain, read_table


def table(tmp_path: Path, text: str | bytes, name: str = "t.csv") -> Table:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_table(path)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_byte_order_mark_and_blank_lines(tmp_path: Path, separator: str) -> None:
    text = "\ufeffimage, dx \r\na.jpg, mel \r\n\r\n,\r\n b ,nv\r\n".replace(",", separator)
    read = table(tmp_path, text)
    assert read.columns == ("image", "dx")
    assert read.rows == ({"image": "a.jpg", "dx": "mel"}, {"image": "b", "dx": "nv"})


def test_quoted_cells_may_hold_separators(tmp_path: Path) -> None:
    assert table(tmp_path, 'image,site\na,"head, neck"\n').rows[0]["site"] == "head, neck"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "no rows; it needs a header and a row for every image"),
        ("image,dx\n", "no rows"),
        ("image,dx\na,b\nc\nd,e,f\n", r"lines 3, 4 do not have 2 cells; mend or remove them"),
        ("image,image\na,b\n", "columns stand more than once: image; rename or remove one"),
        (b"image,dx\n\xff\xfe,mel\n", "not a CSV table in UTF-8 .*; save it again as CSV UTF-8"),
        ('image,dx\n"a,mel\n', "not a CSV table in UTF-8"),
    ],
)
def test_broken_tables(tmp_path: Path, text: str | bytes, match: str) -> None:
    with pytest.raises(TableError, match=r"t\.csv: " + match):
        table(tmp_path, text)


def test_a_missing_table(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"none\.csv: cannot be read \(No such file or directory\); check the path"):
        read_table(tmp_path / "none.csv")


def test_columns_are_found_by_known_names_or_by_the_map(tmp_path: Path) -> None:
    read = table(tmp_path, "image_id,age_approx,Befund\na,50,mel\n")
    assert read.column_of("image", {}) == "image_id"
    assert read.column_of("age", {}) == "age_approx"
    assert read.column_of("diagnosis", {}) is None
    assert read.column_of("diagnosis", {"diagnosis": "Befund"}) == "Befund"
    with pytest.raises(TableError, match=r"no column 'dx' for the diagnosis; it has image_id, age_approx, Befund"):
        read.column_of("diagnosis", {"diagnosis": "dx"})
    with pytest.raises(InputError, match="a column map cannot hold dx; its keys are image, diagnosis, lesion"):
        read.column_of("image", {"dx": "Befund"})


def test_rows_by_image(tmp_path: Path) -> None:
    with pytest.raises(
        TableError, match=r"no column names the image; it has a, b: give columns=\{'image': NAME, ...\}"
    ):
        table(tmp_path, "a,b\n1,2\n").by_image({}, str)
    with pytest.raises(TableError, match="no image is named in rows 3, 4; name it or remove the row"):
        table(tmp_path, "image,b\nx,1\n,2\n,3\n").by_image({}, str)
    with pytest.raises(TableError, match="images stand in more than one row: x; keep one row of each"):
        table(tmp_path, "image,b\nx,1\ny,2\nx,3\n").by_image({}, str)


def test_one_hot_header(tmp_path: Path) -> None:
    assert table(tmp_path, "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC\na,1,0,0,0,0,0,0\n").one_hot_taxonomy() is ISIC2018
    assert table(tmp_path, "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC\na,1,0,0,0,0,0,0,0\n").one_hot_taxonomy() is ISIC2019
    assert (
        table(tmp_path, "UNK,SCC,VASC,DF,BKL,AK,BCC,NV,MEL,image\n" + "0," * 9 + "a\n").one_hot_taxonomy() is ISIC2019
    )
    assert table(tmp_path, "image,MEL,NV\na,1,0\n").one_hot_taxonomy() is None
    own = Taxonomy("own", (Diagnosis("MEL", "melanoma", "malignant"), Diagnosis("NV", "nevus", "benign")))
    assert table(tmp_path, "image,MEL,NV\na,1,0\n").one_hot_taxonomy(own) is own


def test_one_hot_rows() -> None:
    def row(**ones: str) -> dict[str, str]:
        return {**dict.fromkeys((*ISIC2019.codes, "UNK"), "0"), **ones}

    good = {"a": row(MEL="1"), "b": row(SCC="1.0"), "c": row(UNK="1", MEL="0.0")}
    assert one_hot_labels(good, ISIC2019, Path("t.csv")) == {"a": "MEL", "b": "SCC", "c": "UNK"}
    bad = {"n": row(), "two": row(MEL="1", NV="1"), "share": row(MEL="0.5", NV="0.5"), "text": row(MEL="1", NV="x")}
    with pytest.raises(
        TableError, match=r"^t\.csv: rows that do not hold a single 1 among zeros: n, two, share, text;"
    ):
        one_hot_labels(good | bad, ISIC2019, Path("t.csv"))


@pytest.mark.parametrize(
    ("word", "code"),
    [
        ("mel", "MEL"),
        ("Melanoma", "MEL"),
        ("nv", "NV"),
        ("nevus", "NV"),
        ("Melanocytic_Nevus", "NV"),
        ("basal cell carcinoma", "BCC"),
        ("actinic keratosis", "AK"),
        ("pigmented benign keratosis", "BKL"),
        ("Seborrheic-Keratosis", "BKL"),
        ("dermatofibroma", "DF"),
        ("vascular lesion", "VASC"),
        ("squamous cell carcinoma", "SCC"),
        ("UNK", None),
        ("", None),
        ("Unknown", None),
    ],
)
def test_usual_words(word: str, code: str | None) -> None:
    assert label_map(ISIC2019, {})[plain(word)] == code


def test_own_words_come_before_usual_ones() -> None:
    known = label_map(ISIC2019, {"Nävus": "NV", "mel": "NV"})
    assert (known["nävus"], known["mel"]) == ("NV", "NV")
    with pytest.raises(InputError, match=r"a label map leads out of isic2019 \(MEL, NV, .*\): akiec -> AKIEC"):
        label_map(ISIC2019, {"akiec": "AKIEC"})


def test_the_taxonomy_that_fits_is_chosen() -> None:
    assert choose_taxonomy(["mel", "scc"], None, {}) is ISIC2019
    assert choose_taxonomy(["mel", "akiec"], None, {}) is ISIC2018
    assert choose_taxonomy(["mel", "nonsense"], None, {}) is ISIC2019
    assert choose_taxonomy(["mel", "bowen"], None, {"bowen": "AKIEC"}) is ISIC2018
    assert choose_taxonomy(["mel", "akiec"], ISIC2019, {}) is ISIC2019
    assert choose_taxonomy([], None, {}) is ISIC2019
