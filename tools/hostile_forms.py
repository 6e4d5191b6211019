"""Names of files, and whole requests, that no program writes by accident.

A name never decides whether a picture is read: what is right is the picture, under a name that can be shown. A body is
`refused` with a problem or `read`. A `wire` is bytes on a connection: `closed` is right too, without an answer.
"""

import gzip
import zlib
from collections.abc import Callable, Iterable, Mapping

from hostile_parts import SECRET, Sample, sample, saved

NAMES: Mapping[str, str] = {
    "../ in it": "../../../../tmp/escaped.jpg",
    "an absolute path": "/tmp/escaped.jpg",
    "a path of Windows": "C:\\Windows\\System32\\a.jpg",
    "..\\ in it": "..\\..\\a.jpg",
    "coded ../ in it": "%2e%2e%2f%2e%2e%2fa.jpg",
    "NUL in it": "a\0b.jpg",
    "a line break in it": "a\r\nX-Evil: 1.jpg",
    "control characters": "\x1b[31ma\x07\x08.jpg",
    "marks that turn the direction": "\u202egpj.exe",
    "signs without width": "a\u200b\u2060\ufeff.jpg",
    "half a surrogate pair, as bytes": "\udced\udca0\udc80.jpg",
    "4,000 signs": "n" * 4000 + ".jpg",
    "4,000 signs of four bytes": "\U0001f52c" * 4000 + ".jpg",
    "nothing": "",
    "a dot": ".",
    "two dots": "..",
    "a device of Windows": "CON",
    "a device with an ending": "aux.jpg",
    "a stream of NTFS": "a.jpg::$DATA",
    "quotes": 'a"; name="x".jpg',
    "semicolons": "a;b='c'.jpg",
    "HTML": "<script>alert(1)</script>.jpg",
    "a template": "{{7*7}}${7*7}<%= 7*7 %>.jpg",
    "SQL": "'; DROP TABLE images; --.jpg",
    "a shell": "$(touch /tmp/escaped);`id`|id.jpg",
    "a formula": "=HYPERLINK(1).jpg",
    "another ending": "a.php",
    "two endings": "a.jpg.exe",
    "no ending": "picture",
}

NOT_READ = ("4,000 signs of four bytes", "quotes")
"""Names that end the head of their part, or are too long for it: the form is refused."""

MEDIA = "multipart/form-data; boundary=X"
TYPES = (
    "image/jpeg",
    "text/html",
    "image/svg+xml",
    "application/x-php",
    "",
    "none",
    "image/png; charset=\x7f",
    "a" * 900,
)
"""What a part says of itself; never believed."""
Body = tuple[bytes, str, Mapping[str, str]]
"""A body, its content type, and other headers."""


def body_of(parts: Iterable[tuple[str, bytes]], boundary: str = "X") -> bytes:
    """A multipart body with headers as they are given, which no library writes."""
    line = b"--" + boundary.encode()
    said = (line + b"\r\n" + head.encode("utf-8", "surrogateescape") + b"\r\n\r\n" + d + b"\r\n" for head, d in parts)
    return b"".join(said) + line + b"--\r\n"


def field(name: str, disposition: str = "files", media: str = "") -> str:
    """The head of a part with a file."""
    said = f'Content-Disposition: form-data; name="{disposition}"; filename="{name}"'
    return said + (f"\r\nContent-Type: {media}" if media else "")


def named(name: str, data: bytes, variant: int = 0) -> Body:
    """A request with one file of a name, whose part says another type each time."""
    return body_of([(field(name, media=TYPES[variant % len(TYPES)]), data)]), MEDIA, {}


def _one(s: Sample) -> bytes:
    return body_of([(field("a.jpg"), saved(s))])


def _nested(s: Sample) -> bytes:
    inner = body_of([(field("b.jpg"), saved(s))], "Z")
    return body_of([("Content-Type: multipart/mixed; boundary=Z\r\n" + field("a.jpg"), inner)])


def _many(s: Sample, count: int, head: str) -> bytes:
    return body_of([(head, b"x%d" % s.variant)] * count)


FIELD = 'Content-Disposition: form-data; name="other%d"'
BODIES: Mapping[str, Callable[[Sample], Body]] = {
    "no boundary at its end": lambda s: (_one(s)[: -s.chance.randrange(1, 6) - 2], MEDIA, {}),
    "cut off in its file": lambda s: (_one(s)[: s.chance.randrange(120, len(_one(s)) - 20)], MEDIA, {}),
    "cut off in its head": lambda s: (_one(s)[: s.chance.randrange(6, 60)], MEDIA, {}),
    "cut off after the first of two files": lambda s: (
        body_of([(field("a.jpg"), saved(s)), (field("b.jpg"), saved(s))])[:-900],
        MEDIA,
        {},
    ),
    "another boundary": lambda s: (body_of([(field("a.jpg"), saved(s))], "Y"), MEDIA, {}),
    "no boundary said": lambda s: (_one(s), "multipart/form-data", {}),
    "an empty boundary": lambda s: (body_of([(field("a.jpg"), saved(s))], ""), "multipart/form-data; boundary=", {}),
    "a boundary of 9,000 signs": lambda s: (
        body_of([(field("a.jpg"), saved(s))], "b" * 9000),
        f"multipart/form-data; boundary={'b' * 9000}",
        {},
    ),
    "no type": lambda s: (_one(s), "", {}),
    "the type of a form without files": lambda s: (_one(s), "application/x-www-form-urlencoded", {}),
    "the type of JSON": lambda s: (_one(s), "application/json", {}),
    "the type of a picture": lambda s: (saved(s), "image/jpeg", {}),
    "multipart/mixed": lambda s: (_one(s), "multipart/mixed; boundary=X", {}),
    "another field": lambda s: (body_of([(field("a.jpg", "file"), saved(s))]), MEDIA, {}),
    "no disposition": lambda s: (body_of([("Content-Type: image/jpeg", saved(s))]), MEDIA, {}),
    "no name": lambda s: (body_of([("Content-Disposition: form-data", saved(s))]), MEDIA, {}),
    "a picture without a file's name": lambda s: (
        body_of([('Content-Disposition: form-data; name="files"', saved(s))]),
        MEDIA,
        {},
    ),
    "nested": lambda s: (_nested(s), MEDIA, {}),
    "nothing": lambda _: (b"", MEDIA, {}),
    "its end alone": lambda _: (b"--X--\r\n", MEDIA, {}),
    "line feeds alone": lambda s: (_one(s).replace(b"\r\n", b"\n"), MEDIA, {}),
    "words before it": lambda s: (b"before\r\n" + _one(s), MEDIA, {}),
    "5,000 headers in a part": lambda s: (body_of([("X: y\r\n" * 5000 + field("a.jpg"), saved(s))]), MEDIA, {}),
    "a header of 100,000 signs": lambda s: (body_of([(f"X: {'y' * 100_000}\r\n{field('a')}", saved(s))]), MEDIA, {}),
    "101 files": lambda s: (_many(s, 101, field("a.jpg")), MEDIA, {}),
    "1,100 files": lambda s: (_many(s, 1100, field("a.jpg")), MEDIA, {}),
    "1,100 fields": lambda s: (_many(s, 1100, 'Content-Disposition: form-data; name="files"'), MEDIA, {}),
    "a field of two megabytes": lambda s: (
        body_of([(FIELD % s.variant, b"x" * 2_000_000), (field("a.jpg"), saved(s))]),
        MEDIA,
        {},
    ),
    "words of two megabytes": lambda _: (b"a=" + b"x" * 2_000_000, "application/x-www-form-urlencoded", {}),
    "JSON of two megabytes": lambda _: (b"[" * 2_000_000, "application/json", {}),
    "packed by gzip": lambda s: (gzip.compress(_one(s), mtime=0), MEDIA, {"Content-Encoding": "gzip"}),
    "packed by deflate, a bomb": lambda s: (
        zlib.compress(_one(s) + bytes(20_000_000)),
        MEDIA,
        {"Content-Encoding": "deflate"},
    ),
}
"""Requests of which nothing may be read: each is refused with a problem."""
READ: Mapping[str, Callable[[Sample], Body]] = {
    "a charset that there is not": lambda s: (_one(s), MEDIA + "; charset=none", {}),
    "a charset of idna": lambda s: (body_of([(field("\u00ff" * 99 + ".jpg"), saved(s))]), MEDIA + "; charset=idna", {}),
    "two boundaries said": lambda s: (_one(s), "multipart/form-data; boundary=Y; boundary=X", {}),
    "words after its end": lambda s: (_one(s) + b"after" + SECRET, MEDIA, {}),
    "the boundary inside the picture": lambda s: (
        body_of([(field("a.jpg"), saved(s) + b"\r--X--\n--X--")]),
        MEDIA,
        {},
    ),
    "a field besides": lambda s: (body_of([(FIELD % 1, b"\0\xff"), (field("a.jpg"), saved(s))]), MEDIA, {}),
    "the type in capitals": lambda s: (_one(s), "Multipart/Form-Data; Boundary=X", {}),
    "the boundary in quotes": lambda s: (_one(s), 'multipart/form-data; boundary="X"', {}),
}
"""Odd requests whose picture is read."""


def wire(path: str, body: bytes, *headers: str, method: str = "POST") -> bytes:
    """A request as bytes."""
    said = (f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {MEDIA}", "Connection: close", *headers)
    return "\r\n".join(said).encode() + b"\r\n\r\n" + body


def wires(path: str, variant: int) -> Mapping[str, bytes]:
    """Connections that lie about their length, or say nothing of it."""
    body = _one(sample(variant))
    size = f"Content-Length: {len(body)}"
    chunked = "Transfer-Encoding: chunked"
    return {
        "a length that is too long": wire(path, body, f"Content-Length: {len(body) + 1000}"),
        "a length that is too short": wire(path, body, f"Content-Length: {len(body) // 2}"),
        "a negative length": wire(path, body, "Content-Length: -1"),
        "a length in words": wire(path, body, "Content-Length: many"),
        "a length of terabytes": wire(path, body, "Content-Length: 9999999999999"),
        "a length of 5,000 digits": wire(path, body, f"Content-Length: {'9' * 5000}"),
        "two lengths": wire(path, body, size, "Content-Length: 5"),
        "length and chunks": wire(path, b"5\r\n--X\r\n\r\n0\r\n\r\n", size, chunked),
        "chunks that lie": wire(path, b"fffffff\r\n" + body, chunked),
        "chunks without numbers": wire(path, b"none\r\n" + body, chunked),
        "chunks that do not end": wire(path, b"%x\r\n%s\r\n" % (len(body), body), chunked),
        "chunks of no end of size": wire(path, b"f" * 400 + b"\r\n" + body, chunked),
        "chunks twice": wire(path, body, chunked, "Transfer-Encoding: gzip, chunked"),
        "two requests in one": wire(path, b"0\r\n\r\nGET /api/v1/cases HTTP/1.1\r\n\r\n", chunked, "Content-Length: 6"),
        "a header of a megabyte": wire(path, body, size, "X: " + "y" * 1_000_000),
        "a line break in a header": wire(path, body, size, "X-Reader: R7\r\n\r\nX-Evil: 1"),
        "no request": b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(200),
        "no method": wire(path, body, size, method="\0\xff".encode("latin-1").decode("latin-1")),
    }
