"""Memory that threads share."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from dermoscope.data.room import Room


def test_no_more_is_had_than_there_is() -> None:
    room, lock, had = Room(10), threading.Lock(), [0, 0]

    def work(size: int) -> None:
        with room.hold(size):
            with lock:
                had[0] += min(size, 10)
                had[1] = max(had[1], had[0])
            with lock:
                had[0] -= min(size, 10)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [3, 10, 4, 50, 1, 0] * 200))
    assert had[0] == 0
    assert 0 < had[1] <= 10


def test_large_ones_are_not_passed_by() -> None:
    room, order = Room(10), []
    threads = []

    def wait(size: int) -> None:
        with room.hold(size):
            order.append(size)

    with room.hold(6):
        for number, size in enumerate((9, 2, 1), start=1):
            threads.append(threading.Thread(target=wait, args=(size,)))
            threads[-1].start()
            while len(room._queue) < number:
                pass
        assert order == []
    for thread in threads:
        thread.join()
    assert order[0] == 9


def test_what_fails_gives_its_part_back() -> None:
    room = Room(10)
    with suppress(ValueError), room.hold(10):
        raise ValueError
    with room.hold(10):
        pass
