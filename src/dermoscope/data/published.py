"""Readers of published files that are no table of images: each makes one, with the columns `image` and `diagnosis`.

They run where a map of columns and words cannot say how a set lies on the disk; `data/catalog.py` does the rest.
"""

import csv
from collections.abc import Mapping
from pathlib import Path

from dermoscope.core.errors import TableError, some, why
from dermoscope.data.dataset import Layout
from dermoscope.data.join import image_key, index_images, one_folder_each
from dermoscope.data.tables import Table, read_table

PH2_DIAGNOSES = {"0": "common nevus", "1": "atypical nevus", "2": "melanoma"}
"""What the numbers under `Clinical Diagnosis` in PH2_dataset.txt stand for."""
MILK10K_CODES = ("AKIEC", "BCC", "BEN_OTH", "BKL", "DF", "INF", "MAL_OTH", "MEL", "NV", "SCCKA", "VASC")


def class_folders(base: Path, layout: Layout) -> Table:
    """A folder for every diagnosis below the folders of the layout; the folder's name is the word.

    Raises TableError for one image id in several folders: which diagnosis holds is then not known.
    """
    roots = tuple(base / folder for folder in layout.folders if (base / folder).is_dir())
    return _table(roots[0], one_folder_each(dict(sorted(index_images(roots).items())), roots))


def without_header(base: Path, layout: Layout) -> Table:
    """A CSV of two columns, image and word, whose first line is a row already (ISIC 2016, part 3)."""
    path = base / layout.tables[0]
    try:
        rows = [row for row in csv.reader(path.read_text(encoding="utf-8-sig").splitlines()) if row]
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"{path}: cannot be read ({why(error)}); fetch it again") from None
    wrong = [str(number) for number, row in enumerate(rows, 1) if len(row) != 2]
    if wrong or not rows:
        raise TableError(f"{path}: rows {some(wrong) or 'none'} are not an image and a word; fetch it again")
    return _table(path, {image_key(image): word.strip() for image, word in rows})


def ph2(base: Path, layout: Layout) -> Table:
    """PH2_dataset.txt: lines between double bars, `|| IMD003 || histology || number || ...`, then a legend.

    Raises TableError where no such line is found or a number is not 0, 1 or 2.
    """
    path = base / layout.tables[0]
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    cells = [[cell.strip() for cell in line.split("||")] for line in lines if line.strip().startswith("||")]
    rows = {row[1]: row[3] for row in cells if len(row) > 4 and row[1].upper().startswith("IMD")}
    strange = [f"{image} ({number!r})" for image, number in rows.items() if number not in PH2_DIAGNOSES]
    if strange or not rows:
        raise TableError(f"{path}: no clinical diagnosis of 0, 1 or 2 for {some(strange) or 'any image'}; get it again")
    return _table(path, {image: PH2_DIAGNOSES[number] for image, number in rows.items()})


def milk10k(base: Path, layout: Layout) -> Table:
    """MILK10k: the first table names images and their lesions, the second the code of every lesion, one-hot.

    Raises TableError for a lesion without a single 1.
    """
    images, truth = (read_table(base / name) for name in layout.tables)
    codes: dict[str, str] = {}
    broken = []
    for row in truth.rows:
        ones = [code for code in MILK10K_CODES if row.get(code) in ("1", "1.0")]
        codes[row["lesion_id"]] = ones[0] if len(ones) == 1 else ""
        broken += [row["lesion_id"]] if len(ones) != 1 else []
    silent = [row["isic_id"] for row in images.rows if row["lesion_id"] not in codes]
    if broken or silent:
        raise TableError(f"{truth.path}: no single code for {some([*broken, *silent])}; fetch both tables again")
    rows = tuple({**row, "diagnosis": codes[row["lesion_id"]]} for row in images.rows)
    return Table(images.path, (*images.columns, "diagnosis"), rows)


def _table(path: Path, said: Mapping[str, str]) -> Table:
    rows = tuple({"image": image, "diagnosis": word} for image, word in said.items())
    return Table(path, ("image", "diagnosis"), rows)
