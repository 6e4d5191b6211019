"""Graphs that can be run, and those that cannot."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from dermoscope.core.errors import BundleError
from dermoscope.predict.bundle import Bundle
from dermoscope.predict.session import Session, pool_of, usable_cores

PICTURE = np.zeros((1, 64, 64, 3), np.uint8)


def graph(output: str, kind: int = TensorProto.UINT8, shape: tuple[object, ...] = ("n", 8, 8, 3)) -> bytes:
    """A graph that hands its input on under another name."""
    node = helper.make_node("Identity", ["pictures"], [output])
    given = helper.make_tensor_value_info("pictures", kind, shape)
    made = helper.make_tensor_value_info(output, kind, shape)
    model = helper.make_model(
        helper.make_graph([node], "g", [given], [made]), opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def test_outputs_in_the_order_asked_for(bundle: Bundle) -> None:
    session = Session.load(bundle.graphs["model.onnx"], threads=1)
    pictures = np.zeros((2, 64, 64, 3), np.uint8)
    features, nothing, logits = session.run(pictures, ("features", "attention", "logits"))
    assert nothing is None
    assert features is not None
    assert logits is not None
    assert features.ndim == 4
    assert logits.shape == (2, 8)


@pytest.mark.parametrize("broken", [b"", b"not a graph", b"\x08\x07"])
def test_a_graph_that_cannot_be_read(broken: bytes) -> None:
    with pytest.raises(BundleError, match="the model of the bundle cannot be loaded: "):
        Session.load(broken)


def test_a_cut_graph(bundle: Bundle) -> None:
    graph = bundle.graphs["model.onnx"]
    with pytest.raises(BundleError, match="the model of the bundle cannot be loaded: "):
        Session.load(graph[: len(graph) // 2])


def test_a_graph_without_logits() -> None:
    with pytest.raises(BundleError, match="the model has no output `logits`; it has scores"):
        Session.load(graph("scores"))


@pytest.mark.parametrize(
    ("kind", "shape"), [(TensorProto.FLOAT, ("n", 8, 8, 3)), (TensorProto.UINT8, ("n", 8)), (TensorProto.INT64, (1,))]
)
def test_a_graph_that_reads_something_else(kind: int, shape: tuple[object, ...]) -> None:
    with pytest.raises(BundleError, match=r"it must read one uint8 tensor \[n, size, size, 3\]"):
        Session.load(graph("logits", kind, shape))


def test_threads_are_limited(bundle: Bundle) -> None:
    assert Session.load(bundle.graphs["model.onnx"], 1).inner.get_session_options().intra_op_num_threads == 1
    assert (
        Session.load(bundle.graphs["model.onnx"]).inner.get_session_options().intra_op_num_threads
        == usable_cores()
        >= 1
    )


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_pieces_on_a_pool_are_the_whole(bundle: Bundle, count: int) -> None:
    pictures = np.random.default_rng(3).integers(0, 255, (count, 64, 64, 3), np.uint8)
    session = Session.load(bundle.graphs["model.onnx"], threads=1)
    whole = session.run(pictures, ("logits", "attention", "embedding"))
    found = session.on(pool_of(2), 2).run(pictures, ("logits", "attention", "embedding"))
    assert found[1] is None
    for a, b in ((whole[0], found[0]), (whole[2], found[2])):
        assert a is not None
        assert b is not None
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("threads", "pieces"), [(1, 4), (2, 4), (4, 8), (8, 8)])
def test_no_thread_of_a_pool_is_left_without_a_piece(bundle: Bundle, threads: int, pieces: int) -> None:
    class Counting(ThreadPoolExecutor):
        given = 0

        def submit(self, *args: Any, **kwargs: Any) -> Any:
            self.given += 1
            return super().submit(*args, **kwargs)

    pool = Counting(1)
    session = Session.load(bundle.graphs["model.onnx"], threads=1).on(pool, threads)
    (logits,) = session.run(np.zeros((8, 64, 64, 3), np.uint8), ("logits",))
    assert logits is not None
    assert (len(logits), pool.given) == (8, pieces)


def test_on_a_pool_the_network_runs_before_it_is_waited_for(bundle: Bundle) -> None:
    done = threading.Event()
    pool = pool_of(1)
    read = Session.load(bundle.graphs["model.onnx"], threads=1).on(pool, 1).begin(PICTURE, ("logits",))
    pool.submit(done.set)  # behind the pieces
    assert done.wait(30)
    assert len(read()) == 1


def test_an_error_in_a_piece_reaches_who_asked(bundle: Bundle) -> None:
    session = Session.load(bundle.graphs["model.onnx"], threads=1).on(pool_of(2), 2)
    with pytest.raises(BundleError, match="the model reads pictures of"):
        session.run(PICTURE[:, :, :, :1], ("logits",))
    pool = pool_of(1)
    pool.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        session.on(pool, 1).run(PICTURE, ("logits",))


@pytest.mark.skipif(sys.platform != "linux", reason="only there threads have a priority of their own")
def test_threads_of_a_pool_step_back() -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    assert pool_of(1).submit(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())).result() > before
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


def test_the_runtime_keeps_and_sends_nothing(bundle_folder: Path, tmp_path: Path) -> None:
    # from 1.31 on it writes a number of this machine into the home folder, and tells its maker what is run
    code = "import sys; from dermoscope.predict.predictor import Predictor; Predictor.load(sys.argv[1])"
    kept = {n: v for n, v in os.environ.items() if n not in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")}
    command = [sys.executable, "-c", code, str(bundle_folder)]
    subprocess.run(command, env={**kept, "HOME": str(tmp_path)}, check=True, timeout=120)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
