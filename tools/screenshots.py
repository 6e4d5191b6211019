"""Pictures of the pages for README and docs: `python tools/screenshots.py`.

Starts the service in a temporary folder with drawn lesions, reads some of them, and writes docs/service.png (a case
after its answer) and docs/service-worklist.png. No photograph, no patient: every lesion is drawn.
"""

import io
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import cv2
from live import chromium, serving
from PIL import Image
from playwright.sync_api import Playwright, sync_playwright

from dermoscope.cli.progress import phases
from dermoscope.data.store import write_file
from dermoscope.data.synthetic import draw, encode
from dermoscope.serve import cases, readings
from dermoscope.serve.accounts import Person
from dermoscope.serve.cases import NewCase
from dermoscope.serve.desk import Service
from dermoscope.serve.options import Options
from dermoscope.serve.readings import Said
from dermoscope.serve.uploads import clean

DOCS = Path(__file__).parents[1] / "docs"
READER = Person("R7", "admin")
SIZE = (1440, 900)
COLOURS = 255
"""Of a palette: a drawn lesion has few, and the file is a third."""


class Drawn(NamedTuple):
    """A case: whose it is, where, what is drawn from which seeds, what the reader says, and histology."""

    pseudonym: str
    lesion: str
    site: str
    diagnosis: str
    seeds: tuple[int, ...]
    said: Said | None = None
    histology: str | None = None


DRAWN = (
    Drawn("P-1027", "1", "posterior_torso", "MEL", (2, 12), Said("low_concern", "NV", 0.75)),
    Drawn("P-1031", "1", "lower_extremity", "NV", (28,), Said("low_concern", "NV", 1.0)),
    Drawn("P-1031", "2", "upper_extremity", "BKL", (5,), Said("low_concern", "BKL", 0.75)),
    Drawn("P-1034", "1", "head_neck", "BCC", (9,), Said("refer", "BCC", 1.0), "BCC"),
    Drawn("P-1040", "1", "anterior_torso", "VASC", (3,)),
    Drawn("P-1042", "1", "head_neck", "AK", (4,), Said("refer", "AK", 0.5)),
    Drawn("P-1043", "1", "posterior_torso", "MEL", (7,), Said("refer", "MEL", 0.75)),
    Drawn("P-1047", "1", "lower_extremity", "DF", (5,)),
)
"""The first is the one whose screen is shown: the reader sees a nevus, the model a melanoma."""


def smooth(diagnosis: str, seed: int) -> bytes:
    """A drawn lesion without the grain of a camera, which would make the files large."""
    return encode(cv2.bilateralFilter(draw(seed, diagnosis).pixels, 7, 20, 2))


def enter(service: Service, one: Drawn) -> int:
    """Enter, read and close a case as far as it says; its number."""
    uploads = [clean(smooth(one.diagnosis, seed), one.pseudonym) for seed in one.seeds]
    read = cases.read_uploads(service, uploads)
    with service.desk(READER) as desk:
        case = cases.create(desk, NewCase(one.pseudonym, one.lesion, body_site=one.site, sample=one is DRAWN[0]))
        cases.store_images(desk, case, uploads, "dermoscopic", read)
        if one.said:
            readings.lock(desk, case.id, one.said)
        if one.histology:
            cases.enter_histology(desk, case.id, one.histology, None)
        return case.id


def small(png: bytes) -> bytes:
    """The same picture with a palette."""
    out = io.BytesIO()
    reduced = Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS, kmeans=1, dither=Image.Dither.NONE)
    reduced.save(out, "PNG", optimize=True)
    return out.getvalue()


def look(playwright: Playwright, url: str, places: Mapping[str, str]) -> None:
    """Write a picture of each place below docs/."""
    browser = chromium(playwright)
    width, height = SIZE
    page = browser.new_page(
        base_url=url, viewport={"width": width, "height": height}, locale="en-GB", color_scheme="light"
    )
    page.context.add_cookies([{"name": "reader", "value": READER.name, "url": url}])
    for name, place in places.items():
        page.goto(place, wait_until="networkidle")
        write_file(DOCS / f"{name}.png", small(page.screenshot()))
    browser.close()


def main() -> None:
    """Everything; a bar on standard error says how far it is."""
    with (
        phases() as progress,
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as playwright,
        serving(Options(port=0, folder=Path(folder) / "service", no_login=True)) as live,
    ):
        numbers = []
        for done, one in enumerate(DRAWN):
            progress("drawing cases", done, len(DRAWN))
            numbers.append(enter(live.service, one))
        progress("drawing cases", len(DRAWN), len(DRAWN))
        look(playwright, live.url, {"service": f"/cases/{numbers[0]}", "service-worklist": "/?tab=all"})


if __name__ == "__main__":
    main()
