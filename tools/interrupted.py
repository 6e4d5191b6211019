"""Kill training runs and transfers many times, and compare them with those that were left alone."""

import hashlib
import importlib.util
import os
import random
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[1]
_TRAIN = (
    "--recipe default --ship --set backbone=test_efficientnet --set pretrained=false --set size=64 --set batch=16 "
    "--set head=1x32 --set phases=1x32 --set average=1x32 --set ship=1x64 --set views=2"
)
_FETCH = """
import sys
from pathlib import Path
from dermoscope.data.fetch import Remote, fetch
fetch(Remote((sys.argv[1],)), Path(sys.argv[2]), lambda *_: None)
"""


@dataclass(frozen=True)
class Outcome:
    """What was killed, how often, in how many runs, and how many of these ended as one that was left alone."""

    what: str
    compared: str
    kills: int
    runs: int
    equal: int
    seconds: float


def trained(folder: Path, kills: int) -> Outcome:
    """Kill small training runs at random moments: decoding, epochs, export, calibration, writing."""
    from dermoscope.data.synthetic import write_dataset

    data = write_dataset(folder / "data", 20, seed=3, size=(144, 108))

    def command(name: str) -> list[str]:
        run = ["train", *_TRAIN.split(), "--data", str(data), "--out", str(folder / name)]
        return [sys.executable, "-m", "dermoscope.cli.main", *run]

    def result(name: str) -> bytes:
        kept = ("chosen/model.onnx", "chosen/arrays.npz", "bundle/model.onnx", "bundle/arrays.npz")
        return b"".join((folder / name / file).read_bytes() for file in (*kept, "validation-predictions.csv"))

    environment = {**os.environ, "DERMOSCOPE_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
    begun = time.monotonic()
    subprocess.run(command("whole"), check=True, capture_output=True, env=environment)
    took = time.monotonic() - begun
    done, runs, equal = 0, 0, 0
    rng = random.Random(0)
    while done < kills:
        name = f"cut-{runs}"
        done += killed(command(name), environment, rng, took, most=min(4, kills - done))
        subprocess.run(command(name), check=True, capture_output=True, env=environment)
        runs, equal = runs + 1, equal + (result(name) == result("whole"))
    compared = "both bundles and the validation predictions, byte for byte"
    return Outcome("training (a small network, CPU)", compared, done, runs, equal, time.monotonic() - begun)


def killed(command: list[str], environment: dict[str, str], rng: random.Random, took: float, most: int) -> int:
    """Start a command again and again and kill it after a random part of the time that it takes; returns how often."""
    for kill in range(most):
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
        ) as running:
            try:
                running.wait(took * rng.uniform(0.2, 0.95))
                return kill
            except subprocess.TimeoutExpired:
                running.kill()
    return most


def fetched(folder: Path, kills: int, size: int = 40_000_000) -> Outcome:
    """Kill transfers from a slow server on loopback."""
    begun = time.monotonic()
    server = _loopback().Bucket()
    content = random.Random(1).randbytes(size)
    server.files["set.zip"] = content
    server.pause = 0.008
    threading.Thread(target=server.serve_forever, daemon=True).start()
    done, runs, equal = 0, 0, 0
    rng = random.Random(0)
    environment = dict(os.environ)
    while done < kills:
        target = folder / f"set-{runs}.zip"
        command = [sys.executable, "-c", _FETCH, f"{server.url}/set.zip", str(target)]
        done += killed(command, environment, rng, 5.0, most=min(5, kills - done))
        subprocess.run(command, check=True, capture_output=True)
        same = hashlib.sha256(target.read_bytes()).digest() == hashlib.sha256(content).digest()
        runs, equal = runs + 1, equal + same
        target.unlink()
    server.shutdown()
    return Outcome(
        f"a transfer of {size / 1e6:.0f} MB", "SHA-256 of the file", done, runs, equal, time.monotonic() - begun
    )


def _loopback() -> ModuleType:
    """The server that the tests use."""
    spec = importlib.util.spec_from_file_location("loopback", ROOT / "tests" / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
