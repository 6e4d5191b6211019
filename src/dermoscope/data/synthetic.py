"""Dermoscopic pictures that no patient ever had: for tests, examples and a first run without any data.

They look believable and mean nothing: no figure measured on them says anything about real lesions. Every name begins
with `SYNTH_`, and every file carries a comment that says so.
"""

import csv
import io
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.taxonomy import ISIC2019
from dermoscope.data.synthetic_camera import grow_hairs, photograph
from dermoscope.data.synthetic_lesions import PAINTERS, SUN_DAMAGED
from dermoscope.data.synthetic_skin import bare_skin

NOTICE = "SYNTHETIC: drawn by dermoscope, no photograph, no patient"
PREFIX = "SYNTH_"

Row = dict[str, str | float]


@dataclass(frozen=True, eq=False)
class SyntheticImage:
    """A drawn lesion: `pixels` sRGB, `mask` true inside the lesion, the diagnosis it imitates, and its seed."""

    pixels: UInt8[np.ndarray, "height width 3"]
    mask: Bool[np.ndarray, "height width"]
    diagnosis: str
    seed: int

    @property
    def name(self) -> str:
        """`SYNTH_MEL_0000042`: what the picture is called wherever it is shown."""
        return f"{PREFIX}{self.diagnosis}_{self.seed:07d}"

    def jpeg(self, quality: int = 92) -> bytes:
        """The picture as JPEG, labelled synthetic in its comment and in EXIF."""
        return encode(self.pixels, quality)


def encode(pixels: UInt8[np.ndarray, "height width 3"], quality: int = 92) -> bytes:
    """A drawn picture as JPEG with the notice as comment and as EXIF image description."""
    exif = Image.Exif()
    exif[0x010E] = NOTICE
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=quality, exif=exif, comment=NOTICE.encode())
    return out.getvalue()


def draw(seed: int, diagnosis: str | None = None, size: tuple[int, int] = (600, 450)) -> SyntheticImage:
    """Draw one lesion; the same arguments give the same picture.

    `diagnosis` is a code of ISIC 2019, drawn at random where it is None; `size` is (width, height) in pixels.
    Raises ValueRuleError for another code, a negative seed, or a side outside 64 to 4,096 pixels.
    """
    width, height = size
    if not (min(size) >= 64 and max(size) <= 4096):
        raise ValueRuleError(f"cannot draw {width} x {height} pixels: each side must be 64 to 4,096")
    if seed < 0:
        raise ValueRuleError(f"seed {seed} is negative: give 0 or more")
    code = diagnosis or ISIC2019.codes[int(np.random.default_rng(seed).integers(len(ISIC2019)))]
    rng = np.random.default_rng([seed, ISIC2019.index(code)])
    scene = bare_skin(rng, (height, width), rng.uniform(0.3, 1.0) if code in SUN_DAMAGED else rng.uniform(0.0, 0.3))
    lesion = PAINTERS[code](scene)
    grow_hairs(scene)
    picture = photograph(scene, scene.color())
    return SyntheticImage(picture, lesion.depth > 0.0, code, seed)


def write_dataset(folder: Path, per_diagnosis: int, seed: int = 0, size: tuple[int, int] = (600, 450)) -> Path:
    """Write `per_diagnosis` images of each of the eight diagnoses as HAM10000 was published, and return `folder`.

    `images/*.jpg`, `HAM10000_metadata.csv` (lesion_id, image_id, dx, dx_type, age, sex, localization, dataset) and
    `ISIC_2019_Training_GroundTruth.csv` (one-hot, eight classes and UNK). As in HAM10000, AK and SCC share the dx
    `akiec` and about a quarter of the lesions have a second image, taken at another angle and in another light.
    The folder appears whole or not at all. Raises ValueRuleError when it exists and holds files, or for no images.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise ValueRuleError(f"{folder}: is not empty; name a new folder for the synthetic data set")
    if per_diagnosis < 1:
        raise ValueRuleError(f"{per_diagnosis} images per diagnosis: give 1 or more")
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        unfinished.chmod(0o755)
        (unfinished / "images").mkdir()
        rows = [row for code in ISIC2019.codes for row in _write_diagnosis(unfinished, code, per_diagnosis, seed, size)]
        _write_tables(unfinished, rows)
        if folder.exists():
            folder.rmdir()
        unfinished.replace(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return folder


DX = {"MEL": "mel", "NV": "nv", "BCC": "bcc", "AK": "akiec", "BKL": "bkl", "DF": "df", "VASC": "vasc", "SCC": "akiec"}
"""HAM10000's label of each ISIC 2019 diagnosis."""

SITES = ("back", "lower extremity", "trunk", "upper extremity", "abdomen", "face", "chest", "foot", "neck", "scalp")


def _write_diagnosis(folder: Path, code: str, count: int, seed: int, size: tuple[int, int]) -> list[Row]:
    """Draw and write the images of one diagnosis; one row of the tables each, with `code` as an extra column."""
    column = ISIC2019.index(code)
    rng = np.random.default_rng([seed, column])
    rows: list[Row] = []
    while len(rows) < count:
        number = f"{seed:03d}{column}{len(rows):05d}"
        lesion = _invent_lesion(code, f"{PREFIX}LESION_{number}", rng)
        pixels = draw(int(number), code, size).pixels
        looks = [pixels, _second_look(pixels, rng)] if rng.uniform() < 0.25 else [pixels]
        for look in looks[: count - len(rows)]:
            image_id = f"{PREFIX}{seed:03d}{column}{len(rows):05d}"
            (folder / "images" / f"{image_id}.jpg").write_bytes(encode(look))
            rows.append({"image_id": image_id, **lesion})
    return rows


def _invent_lesion(code: str, lesion_id: str, rng: np.random.Generator) -> Row:
    young = code in {"NV", "DF", "VASC"}
    return {
        "lesion_id": lesion_id,
        "dx": DX[code],
        "dx_type": str(rng.choice(["histo", "follow_up", "consensus"])) if code == "NV" else "histo",
        "age": float(5 * rng.integers(5, 12) if young else 5 * rng.integers(9, 18)),
        "sex": str(rng.choice(["male", "female"])),
        "localization": SITES[int(rng.integers(len(SITES)))],
        "dataset": str(rng.choice(["synthetic_a", "synthetic_b"])),
        "code": code,
    }


def _second_look(
    pixels: UInt8[np.ndarray, "height width 3"], rng: np.random.Generator
) -> UInt8[np.ndarray, "height width 3"]:
    """The same lesion turned, moved closer and lit differently."""
    height, width = pixels.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-40, 40), rng.uniform(1.05, 1.3))
    seen = cv2.warpAffine(pixels, turn, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.clip(seen * rng.uniform(0.92, 1.04, 3), 0, 255).astype(np.uint8)


def _write_tables(folder: Path, rows: list[Row]) -> None:
    columns = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization", "dataset")
    with (folder / "HAM10000_metadata.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, columns, extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)
    with (folder / "ISIC_2019_Training_GroundTruth.csv").open("w", newline="") as file:
        truth = csv.writer(file)
        truth.writerow(("image", *ISIC2019.codes, ISIC2019.unknown))
        for row in rows:
            truth.writerow((row["image_id"], *(float(row["code"] == code) for code in ISIC2019.codes), 0.0))
