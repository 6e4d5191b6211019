"""Drawn lesions: the same seed gives the same picture, every picture says that it is synthetic, and sets are whole."""

import csv
import io
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.taxonomy import ISIC2019
from dermoscope.data.synthetic import NOTICE, PREFIX, draw, write_dataset

SMALL = (160, 120)


@pytest.mark.parametrize("code", ISIC2019.codes)
def test_a_lesion_stands_out_from_the_skin_around_it(code: str) -> None:
    for seed in range(4):
        image = draw(seed, code, SMALL)
        assert image.pixels.shape == (120, 160, 3)
        assert image.pixels.dtype == np.uint8
        assert image.mask.shape == (120, 160)
        assert 0.005 < image.mask.mean() < 0.75
        inside, outside = image.pixels[image.mask].mean(0), image.pixels[~image.mask].mean(0)
        assert np.abs(inside - outside).max() > 3
        assert image.name == f"SYNTH_{code}_{seed:07d}"


def test_the_same_seed_draws_the_same_picture_and_another_seed_another() -> None:
    first, again, other = draw(7, "MEL", SMALL), draw(7, "MEL", SMALL), draw(8, "MEL", SMALL)
    assert np.array_equal(first.pixels, again.pixels)
    assert np.array_equal(first.mask, again.mask)
    assert not np.array_equal(first.pixels, other.pixels)


def test_without_a_diagnosis_the_seed_chooses_one_and_all_of_them_occur() -> None:
    drawn = [draw(seed, size=(64, 64)) for seed in range(40)]
    assert {image.diagnosis for image in drawn} == set(ISIC2019.codes)
    assert draw(3, size=(64, 64)).diagnosis == drawn[3].diagnosis


def test_diagnoses_differ_in_the_way_they_are_known_by() -> None:
    def lesions(code: str) -> np.ndarray:
        images = [draw(seed, code, SMALL) for seed in range(12)]
        return np.mean([i.pixels[i.mask].mean(0) / i.pixels[~i.mask].mean(0) for i in images], 0)

    def spread(code: str) -> float:
        images = [draw(seed, code, SMALL) for seed in range(12)]
        return float(np.mean([i.pixels[i.mask].std(0).mean() for i in images]))

    red, green, blue = lesions("VASC")
    assert green < blue < red
    red, green, blue = lesions("NV")
    assert blue < green < red
    assert spread("MEL") > 1.3 * spread("NV"), "a melanoma has more colours than a nevus"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((1, "XYZ"), "'XYZ' is not a diagnosis of isic2019"),
        ((1, "MEL", (63, 100)), "63 x 100"),
        ((1, "MEL", (100, 5000)), "64 to 4,096"),
        ((-1, "MEL"), "seed -1 is negative"),
    ],
)
def test_what_cannot_be_drawn_is_said(arguments: tuple, words: str) -> None:
    with pytest.raises(ValueRuleError, match=words):
        draw(*arguments)


def test_one_picture_takes_less_than_a_third_of_a_second() -> None:
    draw(0, "NV")
    took = []
    for seed in range(5):
        start = time.process_time()
        draw(seed, "SCC")
        took.append(time.process_time() - start)
    assert min(took) < 0.6, f"{min(took):.2f} s of processor time"


def test_every_file_says_that_it_is_synthetic() -> None:
    picture = Image.open(io.BytesIO(draw(1, "BCC", SMALL).jpeg()))
    assert picture.info["comment"] == NOTICE.encode()
    assert picture.getexif()[0x010E] == NOTICE
    assert NOTICE.startswith("SYNTHETIC")


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_data_set_has_the_layout_of_ham10000(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "new" / "set", 12, seed=5, size=SMALL)
    rows = read(folder / "HAM10000_metadata.csv")
    truth = read(folder / "ISIC_2019_Training_GroundTruth.csv")
    assert list(rows[0]) == ["lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization", "dataset"]
    assert list(truth[0]) == ["image", *ISIC2019.codes, "UNK"]
    assert len(rows) == len(truth) == 96
    names = [row["image_id"] for row in rows]
    assert sorted(p.stem for p in (folder / "images").iterdir()) == sorted(names)
    assert len(set(names)) == 96
    assert all(name.startswith(PREFIX) for name in names)
    assert [row["image"] for row in truth] == names
    lesions = {row["lesion_id"] for row in rows}
    assert len(lesions) < 96
    for row, one_hot in zip(rows, truth, strict=True):
        code = next(c for c in ISIC2019.codes if float(one_hot[c]) == 1)
        assert row["dx"] == {"AK": "akiec", "SCC": "akiec"}.get(code, code.lower())
        assert sum(float(one_hot[c]) for c in (*ISIC2019.codes, "UNK")) == 1
    for one, two in pairwise(rows):
        if one["lesion_id"] == two["lesion_id"]:
            assert {k: v for k, v in one.items() if k != "image_id"} == {
                k: v for k, v in two.items() if k != "image_id"
            }
    with Image.open(folder / "images" / f"{names[0]}.jpg") as picture:
        assert picture.info["comment"] == NOTICE.encode()


def test_the_same_seed_writes_the_same_data_set_and_another_seed_other_names(tmp_path: Path) -> None:
    sets = [write_dataset(tmp_path / str(n), 2, seed, (64, 64)) for n, seed in enumerate((1, 1, 2))]
    files = [{p.name: p.read_bytes() for p in s.rglob("*") if p.is_file()} for s in sets]
    assert files[0] == files[1]
    tables = {"HAM10000_metadata.csv", "ISIC_2019_Training_GroundTruth.csv"}
    assert files[0].keys() & files[2].keys() == tables


def test_a_folder_that_holds_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(ValueRuleError, match="is not empty"):
        write_dataset(tmp_path, 1)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ValueRuleError, match="10 x 10"):
        write_dataset(tmp_path / "set", 1, size=(10, 10))
    with pytest.raises(ValueRuleError, match="give 1 or more"):
        write_dataset(tmp_path / "set", 0)
    assert list(tmp_path.iterdir()) == []
