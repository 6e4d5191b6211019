"""The engine of the service under load against the same predictor called directly.

Prints images per second at saturation (sixteen clients that ask for one image each, again and again), their ratio to
one call with all images, and the median time of a single image while nobody else asks. Ends with status 1 where the
ratio is below 0.85.
"""

import io
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from dermoscope.data.synthetic import draw
from dermoscope.predict.predictor import Predictor
from dermoscope.serve.engine import Engine

IMAGES, CLIENTS, ROUNDS, LEAST = 64, 16, 5, 0.85


def main() -> int:
    files = [jpeg(seed) for seed in range(IMAGES)]
    predictor = Predictor.load("default")
    ratios, ours, direct = [], [], []
    with Engine(predictor) as engine, ThreadPoolExecutor(CLIENTS) as clients:
        engine.predict(files[:4])
        for _ in range(ROUNDS):
            direct.append(IMAGES / seconds(lambda: predictor.predict(files)))
            ours.append(IMAGES / seconds(lambda: list(clients.map(lambda f: engine.predict([f]), files))))
            ratios.append(ours[-1] / direct[-1])
        alone = [seconds(lambda f=f: engine.predict([f])) for f in files[:20]]
        called = [seconds(lambda f=f: predictor.predict([f])) for f in files[:20]]
    ratio = float(np.median(ratios))
    print(
        f"{CLIENTS} clients: {np.median(ours):.1f} images/s, directly {np.median(direct):.1f} images/s: "
        f"ratio {ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f} in {ROUNDS} rounds)"
    )
    print(f"one image alone: {1e3 * np.median(alone):.0f} ms, directly {1e3 * np.median(called):.0f} ms (median of 20)")
    return 0 if ratio >= LEAST else 1


def jpeg(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(draw(seed, "NV", size=(600, 450)).pixels).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
