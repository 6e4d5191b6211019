"""How much a request may hold: its end is looked for, its fields are counted."""

import pytest
from starlette.exceptions import HTTPException
from starlette.testclient import TestClient

from dermoscope.serve.limits import FORM_LIMITS, Ending

MEDIA = "multipart/form-data; boundary=X"
PART = b'--X\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\nnone'
FIELD = b'--X\r\nContent-Disposition: form-data; name="title"\r\n\r\n'


@pytest.fixture
def database() -> str:
    return ""


def sent(client: TestClient, body: bytes) -> tuple[int, str]:
    said = client.post("/api/v1/classify", content=body, headers={"Content-Type": MEDIA})
    return said.status_code, said.json()["detail"]


@pytest.mark.parametrize("end", [b"", b"\r\n", b"\r\n--X", b"\r\n--X-", b"\r\n--Y--\r\n", b"--X--", b"\r\n" + PART])
def test_a_form_without_its_end_is_refused(client: TestClient, end: bytes) -> None:
    told = "the request is cut off: the boundary that ends it is not there; send it again"
    assert sent(client, PART + end) == (400, told)


@pytest.mark.parametrize("end", [b"\r\n--X--", b"\r\n--X--\r\n", b"\r\n--X--\r\nwhat follows the end"])
def test_a_form_with_its_end_is_read(client: TestClient, end: bytes) -> None:
    status, detail = sent(client, PART + end)
    assert status == 422
    assert detail.startswith("a.jpg: not an image")


def followed(body: bytes, step: int) -> None:
    ending = Ending(MEDIA.encode())
    for k in range(0, len(body), step):
        ending.follow({"type": "http.request", "body": body[k : k + step], "more_body": k + step < len(body)})


@pytest.mark.parametrize("step", range(1, 12))
def test_the_end_is_found_wherever_the_body_is_cut(step: int) -> None:
    followed(PART + b"\r\n--X--\r\n", step)
    with pytest.raises(HTTPException, match="cut off"):
        followed(PART + b"\r\n--X-", step)


def test_fields_that_are_held_in_memory_are_few_and_short(client: TestClient) -> None:
    status, detail = sent(client, FIELD + b"x" * (FORM_LIMITS["max_part_size"] + 1) + b"\r\n--X--\r\n")
    assert (status, detail) == (400, "Part exceeded maximum size of 97KB.")
    many = (FIELD + b"x\r\n") * (FORM_LIMITS["max_fields"] + 1)
    assert sent(client, many + b"--X--\r\n") == (413, "Too many fields. Maximum number of fields is 200.")
    many = (PART + b"\r\n") * (FORM_LIMITS["max_files"] + 1)
    assert sent(client, many + b"--X--\r\n") == (413, "Too many files. Maximum number of files is 200.")


@pytest.mark.parametrize("boundary", ["; boundary=", "; boundary=" + "b" * 71])
def test_a_boundary_that_is_none_is_refused(client: TestClient, boundary: str) -> None:
    said = client.post(
        "/api/v1/classify", content=b"--\r\n", headers={"Content-Type": "multipart/form-data" + boundary}
    )
    assert said.status_code == 400
    assert said.json()["detail"] == "the form names no boundary of 1 to 70 signs; let a library write it"
