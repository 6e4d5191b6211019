"""ONNX Runtime, and nothing else of it anywhere."""

import os
from dataclasses import dataclass

import numpy as np
import onnxruntime
from jaxtyping import Float, UInt8

from dermoscope.core.errors import BundleError

onnxruntime.disable_telemetry_events()  # where it was imported before `dermoscope`, too (see `dermoscope/__init__.py`)


def usable_cores() -> int:
    """Cores that this process may run on (a container or `taskset` may leave it fewer than the machine has)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, eq=False)
class Session:
    """A loaded graph, one call of which uses `threads`. `run` may be called from several threads at once."""

    inner: onnxruntime.InferenceSession
    outputs: frozenset[str]
    threads: int = 1

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

    def run(
        self, pictures: UInt8[np.ndarray, "n size size 3"], outputs: tuple[str, ...]
    ) -> list[Float[np.ndarray, "..."] | None]:
        """The named outputs in order; None for one that the graph does not have.

        Raises BundleError where the graph does not read pictures of this size.
        """
        held = [name for name in outputs if name in self.outputs]
        given = self.inner.get_inputs()[0]
        fixed = [(a, b) for a, b in zip(given.shape, pictures.shape, strict=True) if isinstance(a, int)]
        if any(a != b for a, b in fixed[-3:]):
            raise BundleError(
                f"the model reads pictures of {given.shape[1:]}, bundle.json says {list(pictures.shape[1:])}; install "
                "or train the bundle again"
            )
        found = dict(zip(held, self.inner.run(held, {given.name: pictures}), strict=True))
        return [found.get(name) for name in outputs]
