"""A marked picture is said to be one: the page of a case warns of ink and of a ruler."""

import pytest
from starlette.testclient import TestClient

from dermoscope.data.artefacts import apply
from dermoscope.data.synthetic import draw, encode

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

SAYS = {
    "ink": ("Ink lies over or beside the lesion.", "Farbmarkierung liegt auf oder neben der Läsion."),
    "ruler": ("A ruler or a scale is in the image.", "Ein Lineal oder ein Maßstab ist im Bild."),
    "patch": (
        "Something blue or green, such as a colour patch or a glove, is in the image.",
        "Etwas Blaues oder Grünes, etwa ein Farbpunkt oder ein Handschuh, ist im Bild.",
    ),
}


@pytest.mark.parametrize("name", SAYS)
def test_the_page_warns_of_what_was_drawn(anna: TestClient, name: str) -> None:
    picture = apply(name, draw(12, "NV", (400, 300)).pixels, intensity=1.0, seed=2).pixels
    sent = [("files", ("a.jpg", encode(picture), "image/jpeg"))]
    anna.post("/cases/new", data={"pseudonym": "P1"}, files=sent)
    page = anna.post("/cases/1/reading", data={"decision": "refer"}).text
    anna.cookies.set("language", "de")
    german = anna.get("/cases/1").text
    for other, (english, auf_deutsch) in SAYS.items():
        assert (english in page) == (other == name), other
        assert (auf_deutsch in german) == (other == name), other
