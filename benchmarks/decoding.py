"""Reading a camera's JPEG at the size a model needs: `read_image(at_least=...)` against Pillow's open, convert, resize.

Prints milliseconds per image of each and their ratio; ends with status 1 when ours is not faster.
"""

import io
import sys
import time

import cv2
import numpy as np
from PIL import Image

from dermoscope.data.images import read_image
from dermoscope.data.synthetic import draw

SIZE, IMAGES, ROUNDS = 256, 4, 5


def main() -> int:
    pixels = cv2.resize(draw(0, "NV").pixels, (3000, 2250), interpolation=cv2.INTER_CUBIC)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=92)
    data = buffer.getvalue()
    ratios, ours, theirs = [], [], []
    for _ in range(ROUNDS):
        ours.append(seconds(lambda: cv2.resize(read_image(data, at_least=SIZE).pixels, (341, SIZE))))
        theirs.append(seconds(lambda: np.asarray(Image.open(io.BytesIO(data)).convert("RGB").resize((341, SIZE)))))
        ratios.append(theirs[-1] / ours[-1])
    ratio = float(np.median(ratios))
    print(
        f"3000 x 2250 px JPEG to {SIZE} px: ours {1e3 * np.median(ours):.1f} ms, "
        f"Pillow {1e3 * np.median(theirs):.1f} ms: {ratio:.1f} times as fast"
    )
    return 0 if ratio > 1 else 1


def seconds(work) -> float:
    started = time.perf_counter()
    for _ in range(IMAGES):
        work()
    return (time.perf_counter() - started) / IMAGES


if __name__ == "__main__":
    sys.exit(main())
