"""ONNX Runtime, and nothing else of it anywhere."""

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import onnxruntime
from jaxtyping import Float, UInt8

from dermoscope.core.errors import BundleError

onnxruntime.disable_telemetry_events()  # where it was imported before `dermoscope`, too (see `dermoscope/__init__.py`)

_PIECE = 2
"""Pictures that a thread of a pool reads at once at most: the last piece of a call then keeps no core idle for long."""

_STEPS_BACK = 5
"""By how much the threads of a pool are nicer than others: these have three times their share where a core is short."""


def usable_cores() -> int:
    """Cores that this process may run on (a container or `taskset` may leave it fewer than the machine has)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pool_of(threads: int) -> ThreadPoolExecutor:
    """Threads for `Session.on`, which leave the cores to whoever else has something short to do.

    Requests are taken and answered beside them; on Linux, where threads have a priority of their own, theirs is lower.
    They end when nobody holds the pool any more.
    """
    return ThreadPoolExecutor(threads, thread_name_prefix="views", initializer=_step_back)


def _step_back() -> None:
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + _STEPS_BACK)


@dataclass(frozen=True, eq=False)
class Session:
    """A loaded graph, one call of which uses `threads`. `run` may be called from several threads at once."""

    inner: onnxruntime.InferenceSession
    outputs: frozenset[str]
    threads: int = 1
    pool: ThreadPoolExecutor | None = None

    @classmethod
    def load(cls, graph: bytes, threads: int | None = None) -> "Session":
        """Load a graph onto the CPU; `threads` is what one call may use (default: all cores of this process).

        Raises BundleError where ONNX Runtime cannot read it, or it does not turn pictures into logits.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or usable_cores()
        options.log_severity_level = 3
        try:
            inner = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime raises classes of its own, by extension module
            raise BundleError(f"the model of the bundle cannot be loaded: {error}") from None
        names = frozenset(output.name for output in inner.get_outputs())
        if "logits" not in names:
            raise BundleError(f"the model has no output `logits`; it has {', '.join(sorted(names))}")
        read = [(given.type, len(given.shape)) for given in inner.get_inputs()]
        if read != [("tensor(uint8)", 4)]:
            raise BundleError(f"the model reads {read}; it must read one uint8 tensor [n, size, size, 3]")
        return cls(inner, names, options.intra_op_num_threads)

    def on(self, pool: ThreadPoolExecutor, threads: int) -> "Session":
        """The same graph, whose pictures go in pieces to the `threads` of a pool: first come, first served.

        Calls that come together then share the cores picture by picture, and one that comes alone has all of them.
        Made of a session of one thread; the pool must be no one that calls of this session run in.
        """
        return replace(self, pool=pool, threads=threads)

    def run(
        self, pictures: UInt8[np.ndarray, "n size size 3"], outputs: tuple[str, ...]
    ) -> list[Float[np.ndarray, "..."] | None]:
        """The named outputs in order; None for one that the graph does not have.

        Raises BundleError where the graph does not read pictures of this size.
        """
        return self.begin(pictures, outputs)()

    def begin(
        self, pictures: UInt8[np.ndarray, "n size size 3"], outputs: tuple[str, ...]
    ) -> Callable[[], list[Float[np.ndarray, "..."] | None]]:
        """Like `run`; what is returned waits for the outputs. On a pool the network runs meanwhile, else only then.

        Raises like `run`.
        """
        held = [name for name in outputs if name in self.outputs]
        given = self.inner.get_inputs()[0]
        fixed = [(a, b) for a, b in zip(given.shape, pictures.shape, strict=True) if isinstance(a, int)]
        if any(a != b for a, b in fixed[-3:]):
            raise BundleError(
                f"the model reads pictures of {given.shape[1:]}, bundle.json says {list(pictures.shape[1:])}; install "
                "or train the bundle again"
            )
        read = partial(self.inner.run, held)
        if self.pool is None:
            return lambda: _of_each([read({given.name: pictures})], held, outputs)
        most = max(1, min(_PIECE, len(pictures) // (2 * self.threads)))  # two for each thread, where there are so many
        pieces = [pictures[at : at + most] for at in range(0, max(1, len(pictures)), most)]
        begun = [self.pool.submit(read, {given.name: piece}) for piece in pieces]
        return lambda: _of_each([one.result() for one in begun], held, outputs)


def _of_each(pieces: list[Any], held: list[str], outputs: tuple[str, ...]) -> list[Float[np.ndarray, "..."] | None]:
    """The outputs of a network that read pictures in pieces; None for one that it does not have."""
    whole = [parts[0] if len(parts) == 1 else np.concatenate(parts) for parts in zip(*pieces, strict=True)]
    found = dict(zip(held, whole, strict=True))
    return [found.get(name) for name in outputs]
