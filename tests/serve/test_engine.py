"""Micro-batching: the same figures as the predictor alone, fair, bounded, and one bad image spoils no other."""

import io
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from dermoscope.core.errors import BusyError, ImageError
from dermoscope.core.prediction import Prediction
from dermoscope.data.synthetic import draw
from dermoscope.predict.predictor import Predictor
from dermoscope.predict.views import View
from dermoscope.serve.desk import Service
from dermoscope.serve.engine import Engine, Load


@pytest.fixture(scope="module")
def bundled() -> Predictor:
    return Predictor.load("default", threads=2)


@pytest.fixture(scope="module")
def files() -> list[bytes]:
    return [jpeg(seed) for seed in range(9)]


@pytest.fixture
def engine(bundled: Predictor) -> Iterator[Engine]:
    with Engine(bundled) as made:
        yield made


def jpeg(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(draw(seed, "NV", size=(320, 240)).pixels).save(buffer, "JPEG")
    return buffer.getvalue()


class Gate:
    """A predictor that waits at every call until it is let through, and notes how many images came together."""

    def __init__(self, predictor: Predictor, views: int | None = None) -> None:
        self.inner, self.open, self.entered = predictor, threading.Semaphore(0), threading.Semaphore(0)
        self.together: list[list[bytes]] = []
        self.narrow: Gate | None = None
        self.count = views

    def with_threads(self, threads: int) -> "Gate":
        self.narrow = Gate(self.inner.with_threads(threads))
        return self.narrow

    def sharing(self) -> "Gate":
        self.narrow = Gate(self.inner.sharing())
        return self.narrow

    def views(self, count: int | None = None) -> tuple[View, ...]:
        return self.inner.views(count or self.count)

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def predict(self, images: list[bytes], names: list[str]) -> Prediction:
        self.together.append(images)
        self.entered.release()
        self.open.acquire()
        return self.inner.predict(images, names=names, views=1)


@pytest.fixture
def gate(bundled: Predictor) -> Gate:
    return Gate(bundled)


def wait_for(engine: Engine, load: Load) -> None:
    for _ in range(2000):
        if engine.load == load:
            return
        threading.Event().wait(0.005)
    raise AssertionError(f"{engine.load} instead of {load}")


def test_says_what_the_predictor_says(engine: Engine, bundled: Predictor, files: list[bytes]) -> None:
    direct = bundled.predict(files, names=[f"image-{k}" for k in range(1, 10)])
    found = engine.predict(files)
    assert found.ids == direct.ids
    assert found.members == direct.members
    assert found.quality == direct.quality
    np.testing.assert_allclose(found.logits, direct.logits, rtol=1e-4, atol=1e-5)
    assert found.embedding is not None
    assert direct.embedding is not None
    np.testing.assert_allclose(found.embedding, direct.embedding, rtol=1e-4, atol=1e-5)
    assert engine.load == Load(busy=0, waiting=0, done=9)


def test_many_who_ask_at_once_get_their_own(engine: Engine, bundled: Predictor, files: list[bytes]) -> None:
    direct = bundled.predict(files)
    with ThreadPoolExecutor(9) as pool:
        found = list(pool.map(lambda k: engine.predict([files[k]], names=["the same name"]), range(9)))
    assert [p.ids for p in found] == [("the same name",)] * 9
    np.testing.assert_allclose(np.concatenate([p.logits for p in found]), direct.logits, rtol=1e-4, atol=1e-5)


def test_no_images_are_an_empty_prediction(engine: Engine) -> None:
    assert len(engine.predict([])) == 0
    assert engine.each([]) == []


def test_an_image_that_fails_spoils_no_other(engine: Engine, bundled: Predictor, files: list[bytes]) -> None:
    found = engine.each([files[0], b"no image", files[1]], names=["a", "b", "c"])
    assert isinstance(found[0], Prediction)
    assert isinstance(found[2], Prediction)
    assert isinstance(found[1], ImageError)
    assert str(found[1]).startswith("b: ")
    np.testing.assert_allclose(found[2].logits, bundled.predict([files[1]]).logits, rtol=1e-4, atol=1e-5)
    with pytest.raises(ImageError, match=r"^b: "):
        engine.predict([files[0], b"no image", files[1]], names=["a", "b", "c"])


def test_what_waits_goes_together_one_of_each_in_turn(gate: Gate, files: list[bytes]) -> None:
    with Engine(gate, lanes=1) as engine, ThreadPoolExecutor(3) as pool:  # type: ignore[arg-type]
        first = pool.submit(engine.predict, files[:1])
        gate.entered.acquire()
        many = pool.submit(engine.predict, files[1:7])
        wait_for(engine, Load(busy=1, waiting=6, done=0))
        late = pool.submit(engine.predict, files[8:])
        wait_for(engine, Load(busy=1, waiting=7, done=0))
        gate.open.release()
        gate.entered.acquire()
        assert gate.together[1] == [files[1], files[8], files[2]]
        gate.open.release()
        assert len(late.result(30)) == len(first.result(30)) == 1
        assert not many.done()
        gate.open.release(9)
        assert len(many.result(30)) == 6
    assert gate.together[2:] == [files[3:5], files[5:6], files[6:7]]


def test_with_fewer_views_than_cores_one_alone_has_them_all_and_a_crowd_shares_them(
    bundled: Predictor, files: list[bytes]
) -> None:
    gate = Gate(bundled, views=1)
    with Engine(gate) as engine, ThreadPoolExecutor(9) as pool:  # type: ignore[arg-type]
        narrow = gate.narrow
        assert narrow is not None
        assert narrow.inner.threads == 1
        first = pool.submit(engine.predict, files[:1])
        gate.entered.acquire()
        others = [pool.submit(engine.predict, [file]) for file in files[1:5]]
        wait_for(engine, Load(busy=1, waiting=4, done=0))
        assert narrow.together == []  # nobody takes a core from the one that is read by all of them
        gate.open.release()
        assert narrow.entered.acquire(timeout=30)
        assert narrow.entered.acquire(timeout=30)  # both at one time
        wait_for(engine, Load(busy=2, waiting=2, done=1))
        narrow.open.release(9)
        gate.open.release(9)
        assert [len(one.result(30)) for one in (first, *others)] == [1] * 5
        assert len(gate.together) + len(narrow.together) == 5
        last = engine.predict(files[5:6])
    assert len(last) == 1
    assert gate.together[-1] == files[5:6]


def test_with_a_view_for_every_core_the_next_image_is_begun_beside_the_first(
    bundled: Predictor, files: list[bytes]
) -> None:
    gate = Gate(bundled)
    with Engine(gate) as engine, ThreadPoolExecutor(9) as pool:  # type: ignore[arg-type]
        shared = gate.narrow
        assert shared is not None
        assert [session.pool is not None for session in shared.inner.sessions] == [True]
        asked = [pool.submit(engine.predict, [file]) for file in files]
        assert shared.entered.acquire(timeout=30)
        assert shared.entered.acquire(timeout=30)  # both lanes, however few wait
        wait_for(engine, Load(busy=2, waiting=7, done=0))
        shared.open.release(9)
        assert [len(one.result(30)) for one in asked] == [1] * 9
    assert gate.together == []  # nobody has all cores for himself
    assert [len(turn) for turn in shared.together] == [1] * 9


def test_lanes_say_what_the_predictor_says(bundled: Predictor, files: list[bytes]) -> None:
    direct = bundled.predict(files)
    with Engine(bundled) as engine, ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda k: engine.predict([files[k % 9]]), range(36)))
        assert engine.load == Load(busy=0, waiting=0, done=36)
    for k, one in enumerate(found):
        np.testing.assert_allclose(one.logits[0], direct.logits[k % 9], rtol=1e-4, atol=1e-5)
        assert one.predictor is bundled


def test_too_much_at_once_is_refused(gate: Gate, files: list[bytes]) -> None:
    with Engine(gate, most_waiting=3, lanes=1) as engine, ThreadPoolExecutor(2) as pool:  # type: ignore[arg-type]
        first = pool.submit(engine.predict, files[:1])
        gate.entered.acquire()
        second = pool.submit(engine.predict, files[:2])
        wait_for(engine, Load(busy=1, waiting=2, done=0))
        assert (engine.again_after, engine.full) == (None, False)
        with pytest.raises(BusyError, match=r"^2 images wait already; try again in a minute$"):
            engine.predict(files[:2])
        gate.open.release(9)
        assert len(first.result(30)) == 1
        assert len(second.result(30)) == 2


def test_close_finishes_what_was_accepted(gate: Gate, files: list[bytes]) -> None:
    engine = Engine(gate, lanes=1)  # type: ignore[arg-type]
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(engine.predict, files[:1])
        gate.entered.acquire()
        second = pool.submit(engine.predict, files[1:3])
        wait_for(engine, Load(busy=1, waiting=2, done=0))
        closed = pool.submit(engine.close)
        gate.open.release(9)
        closed.result(30)
        assert len(first.result(1)) == 1
        assert len(second.result(1)) == 2
    with pytest.raises(BusyError, match="being stopped"):
        engine.predict(files[:1])
    engine.close()


def test_an_error_that_nobody_foresaw_reaches_who_asked(gate: Gate, files: list[bytes]) -> None:
    def broken(*_: object, **__: object) -> Prediction:
        raise MemoryError("no room")

    gate.predict = broken  # type: ignore[method-assign]
    with Engine(gate, lanes=1) as engine:  # type: ignore[arg-type]
        for ask in (engine.predict, engine.each):
            with pytest.raises(MemoryError, match="no room"):
                ask(files[:2])


def test_who_is_refused_is_told_by_the_pace_when_to_come_again(gate: Gate, files: list[bytes]) -> None:
    with Engine(gate, most_waiting=3, lanes=1) as engine, ThreadPoolExecutor(2) as pool:  # type: ignore[arg-type]
        gate.open.release()
        engine.predict(files[:1])
        gate.entered.acquire()
        assert engine.pace > 0
        first = pool.submit(engine.predict, files[:1])
        gate.entered.acquire()
        second = pool.submit(engine.predict, files[:3])
        wait_for(engine, Load(busy=1, waiting=3, done=1))
        engine._pace = 0.2
        with pytest.raises(BusyError, match=r"^3 images wait already; try again in 15 s$") as refused:
            engine.predict(files[:1])
        assert (refused.value.again_after, engine.full) == (15, True)
        gate.open.release(9)
        assert len(first.result(30)) + len(second.result(30)) == 4


def test_a_batch_keeps_one_place_and_nobody_stands_behind_it(gate: Gate, files: list[bytes]) -> None:
    with Engine(gate, lanes=1) as engine, ThreadPoolExecutor(7) as pool:  # type: ignore[arg-type]
        batch = pool.submit(engine.each, files, behind=True)
        gate.entered.acquire()
        assert gate.together[0] == files[:1]
        singles = [pool.submit(engine.predict, files[8:]) for _ in range(4)]
        wait_for(engine, Load(busy=1, waiting=12, done=0))
        gate.open.release()
        gate.entered.acquire()
        assert gate.together[1] == [files[8]] * 3 + [files[1]]
        gate.open.release()
        gate.entered.acquire()
        assert gate.together[2] == [files[8], files[2]]
        gate.open.release(9)
        assert [len(one.result(30)) for one in singles] == [1] * 4
        assert len(batch.result(30)) == 9
    assert [len(turn) for turn in gate.together[3:]] == [1] * 6


def test_where_images_go_one_by_one_a_batch_has_every_fourth(bundled: Predictor, files: list[bytes]) -> None:
    gate = Gate(bundled, views=1)
    with Engine(gate, lanes=4) as engine, ThreadPoolExecutor(9) as pool:  # type: ignore[arg-type]
        first = pool.submit(engine.predict, files[:1])
        gate.entered.acquire()
        batch = pool.submit(engine.each, files[1:3], behind=True)
        wait_for(engine, Load(busy=1, waiting=2, done=0))
        singles = [pool.submit(engine.predict, [file]) for file in files[3:8]]
        wait_for(engine, Load(busy=1, waiting=7, done=0))  # fewer than share the cores out
        gate.open.release(9)
        assert [len(one.result(30)) for one in (first, *singles)] == [1] * 6
        assert len(batch.result(30)) == 2
    order = [turn[0] for turn in gate.together]
    assert [order.index(file) for file in files[1:3]] == [3, 7]
    assert all(len(turn) == 1 for turn in gate.together)


def test_a_request_is_read_by_the_model_that_was_there_when_it_came(bundled: Predictor, files: list[bytes]) -> None:
    first, second = Gate(bundled), Gate(bundled)
    with Engine(first, lanes=1) as engine, ThreadPoolExecutor(4) as pool:  # type: ignore[arg-type]
        before = [pool.submit(engine.predict, files[:1])]
        first.entered.acquire()
        before.append(pool.submit(engine.predict, files[:6]))
        wait_for(engine, Load(busy=1, waiting=6, done=0))
        engine.swap(second)  # type: ignore[arg-type]
        after = pool.submit(engine.predict, files[6:8])
        wait_for(engine, Load(busy=1, waiting=8, done=0))
        chosen = pool.submit(engine.predict, files[8:], by=first)
        wait_for(engine, Load(busy=1, waiting=9, done=0))
        first.open.release(9)
        second.open.release(9)
        assert [one.result(30).predictor for one in (*before, chosen)] == [first] * 3
        assert after.result(30).predictor is second
    assert [file for turn in second.together for file in turn] == files[6:8]
    assert sum(map(len, first.together)) == 8


def test_the_model_before_is_given_free(bundled: Predictor, files: list[bytes]) -> None:
    first = Gate(bundled)
    gone = weakref.ref(first)
    with Engine(first, lanes=1) as engine:  # type: ignore[arg-type]
        first.open.release()
        assert len(engine.predict(files[:1])) == 1
        engine.swap(bundled)
        del first
        assert gone() is None


def test_heat_maps_wait_beside_the_images(gate: Gate, files: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dermoscope.serve.engine.MOST_BESIDE", 2)
    done: list[str] = []
    with Engine(gate, lanes=1) as engine, ThreadPoolExecutor(4) as pool:  # type: ignore[arg-type]
        first = pool.submit(engine.predict, files[:1])
        gate.entered.acquire()
        maps = [pool.submit(engine.ask, lambda name=name: done.append(name) or name) for name in "ab"]
        second = pool.submit(engine.predict, files[1:2])
        wait_for(engine, Load(busy=1, waiting=1, done=0))
        while len(engine._beside) < 2:
            threading.Event().wait(0.005)
        with pytest.raises(BusyError, match=r"^2 heat maps wait already"):
            engine.ask(dict)
        gate.open.release()
        gate.entered.acquire()
        assert done == []
        gate.open.release()
        assert sorted(one.result(30) for one in maps) == ["a", "b"]
        assert len(first.result(30)) == len(second.result(30)) == 1
        with pytest.raises(ZeroDivisionError):
            engine.ask(lambda: 1 // 0)


def test_what_waits_can_be_refused_at_once(gate: Gate, files: list[bytes]) -> None:
    engine = Engine(gate, lanes=1)  # type: ignore[arg-type]
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(engine.predict, files[:1])
        gate.entered.acquire()
        waiting = [pool.submit(engine.predict, files[1:3]), pool.submit(engine.ask, dict)]
        wait_for(engine, Load(busy=1, waiting=2, done=0))
        while not engine._beside:
            threading.Event().wait(0.005)
        closed = pool.submit(engine.close, at_once=True)
        for one in waiting:
            with pytest.raises(BusyError, match="being stopped"):
                one.result(30)
        gate.open.release()
        closed.result(30)
        assert len(first.result(1)) == 1


def test_names_for_other_images_are_a_mistake(engine: Engine, files: list[bytes]) -> None:
    with pytest.raises(ValueError, match="1 names for 2 images"):
        engine.predict(files[:2], names=["a"])


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_too_many_requests_with_pictures_are_refused_at_the_door_and_pages_go_on(
    request: pytest.FixtureRequest, service: Service, files: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dermoscope.serve.doors.MOST", 2)
    live = request.getfixturevalue("live")  # which reads that number when it starts
    entered, go_on = threading.Semaphore(0), threading.Event()
    each = service.engine.each

    def slow(*given: Any, **how: Any) -> Any:
        entered.release()
        assert go_on.wait(30)
        return each(*given, **how)

    monkeypatch.setattr(service.engine, "each", slow)
    with httpx.Client(base_url=live, timeout=60) as http, ThreadPoolExecutor(3) as pool:
        most = service.engine.most_waiting

        def ask() -> httpx.Response:
            return http.post("/api/v1/classify", files={"files": files[0]})

        first = [pool.submit(ask) for _ in range(2)]
        try:
            for _ in first:
                assert entered.acquire(timeout=30)
            refused = ask()
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
            assert refused.json()["detail"].startswith("2 requests with pictures are under way, and no more are taken")
            page = http.post("/cases/new", files={"files": files[0]}, headers={"X-Reader": "anna"})
            assert (page.status_code, "Too much to do just now" in page.text) == (503, True)
            assert http.get("/", headers={"X-Reader": "anna"}).status_code == 200
            service.engine.most_waiting = 0
            full = http.get("/ready")
            assert (full.status_code, full.json()["ready"], full.headers["retry-after"]) == (503, False, "30")
        finally:
            service.engine.most_waiting = most
            go_on.set()
        assert [one.result(60).status_code for one in first] == [200, 200]
        assert ask().status_code == 200
