"""How much of uploaded pictures a process holds in memory at one time, by all requests together.

A picture may grow when it becomes a PNG: two megabytes of WebP are three hundred of pixels. What is held is counted
from when a picture is cleaned until nothing refers to it any longer.
"""

import ctypes
import threading
from collections import deque

from dermoscope.core.errors import BusyError

MOST_PICTURE = 100_000_000
"""Bytes of one cleaned picture at most: 33 million pixels of pure noise, three times as many of skin."""
MOST_OF_ONE = 200_000_000
"""Bytes of the cleaned pictures that one request holds at most."""
MOST_HELD = 1_000_000_000
"""Bytes of the cleaned pictures of all requests at most."""

_M_MMAP_THRESHOLD, _PIECE = -3, 4_000_000
_lock = threading.Lock()
_held = 0
_returned: deque[int] = deque()


class Held:
    """So many bytes, which count as long as this lives. Raises BusyError where all requests hold too many already."""

    def __init__(self, size: int) -> None:
        global _held
        self._size = 0
        with _lock:
            _settle()
            if _held + size > MOST_HELD:
                raise BusyError(f"{_held / 1e6:.0f} MB of pictures are being worked on; try again in a minute")
            _held += size
        self._size = size

    def __del__(self) -> None:
        _returned.append(self._size)  # without the lock: whoever holds it may be the one that collects this


def held() -> int:
    """Bytes that are held just now."""
    with _lock:
        _settle()
        return _held


def _settle() -> None:
    global _held
    while _returned:
        _held -= _returned.popleft()


def give_back_large_pieces() -> bool:
    """Let memory of four megabytes and more go back to the system as soon as it is free; whether that is known here.

    glibc learns from what is freed to keep such pieces for the thread that had them: after eight threads have each read
    an image of 98 million pixels it keeps 2.6 GB (mallopt(3), M_MMAP_THRESHOLD).
    """
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _PIECE))
    except (AttributeError, OSError, TypeError):  # another C library
        return False
