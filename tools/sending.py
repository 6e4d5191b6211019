"""A client of the service as tools need one: connections that are kept, drawn lesions, forms that are made before."""

import http.client
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from PIL import Image

from dermoscope.data.synthetic import draw

_BOUNDARY = "c0ffee"


class Client(threading.local):
    """A connection of each thread that is kept; requests are made before the clock runs."""

    def __init__(self, url: str, opened: list[http.client.HTTPConnection]) -> None:
        place = urlsplit(url)
        self.connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=120)
        opened.append(self.connection)

    def ask(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> tuple[int, bytes]:
        """Status and body of one request."""
        headers = {"X-Reader": "load"} | ({"Content-Type": kind} if kind else {})
        for last in (False, True):  # a connection that the server closed while it was idle is opened again
            try:
                self.connection.request(method, path, body, headers)
                answer = self.connection.getresponse()
                return answer.status, answer.read()
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                self.connection.close()
                if last:
                    raise
        raise AssertionError


@contextmanager
def client_of(url: str) -> Iterator[Client]:
    """A client whose connections are closed at the end, those of threads that are gone too."""
    opened: list[http.client.HTTPConnection] = []
    yield Client(url, opened)
    for connection in opened:
        connection.close()


def jpeg(seed: int) -> bytes:
    """A drawn lesion of the size that HAM10000 has."""
    buffer = io.BytesIO()
    Image.fromarray(draw(seed, "NV", size=(600, 450)).pixels).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def multipart(data: bytes) -> bytes:
    """One file as a form sends it."""
    head = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\nContent-Type: image/jpeg'
    )
    return head.encode() + b"\r\n\r\n" + data + f"\r\n--{_BOUNDARY}--\r\n".encode()


KIND = f"multipart/form-data; boundary={_BOUNDARY}"


def classify(client: Client, body: bytes) -> int:
    """The status of one image."""
    return client.ask("POST", "/api/v1/classify", body, KIND)[0]
