"""What happens to a whole picture: lost focus, wrong exposure, a cast, coarse JPEG, another crop."""

import cv2
import numpy as np

from dermoscope.data.artefacts_paint import Drawn, Pixels


def lose_focus(rng: np.random.Generator, pixels: Pixels, intensity: float) -> Drawn:
    """Out of focus, or moved while the picture was taken: by up to 2 % (motion: 6 %) of the shorter side."""
    unit = min(pixels.shape[:2])
    amount = intensity**1.3
    if rng.random() < 0.65:
        return _all(cv2.GaussianBlur(pixels, (0, 0), 0.2 + amount * rng.uniform(0.014, 0.02) * unit))
    length = max(3, round(amount * rng.uniform(0.04, 0.06) * unit)) | 1
    kernel = np.zeros((length, length), np.float32)
    turn = rng.uniform(0, np.pi)
    half = (length - 1) / 2
    ends = [(round(half + sign * half * np.cos(turn)), round(half + sign * half * np.sin(turn))) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1)
    return _all(cv2.filter2D(pixels, -1, kernel / kernel.sum()))


def misexpose(rng: np.random.Generator, pixels: Pixels, intensity: float) -> Drawn:
    """Too dark by up to 2.5 stops or too bright by up to 1.3, in linear light; what is burnt out stays so."""
    stops = intensity * (rng.uniform(0.9, 1.3) if rng.random() < 0.5 else -rng.uniform(1.7, 2.5))
    return _all(_through(pixels, np.full(3, 2.0**stops)))


def cast_colour(rng: np.random.Generator, pixels: Pixels, intensity: float) -> Drawn:
    """Light of another colour: channel gains in linear light, warm, cold, green or magenta, luminance kept."""
    warm, green = rng.uniform(0.3, 0.55) * rng.choice([-1.0, 1.0]), rng.uniform(-0.22, 0.22)
    gains = np.exp2(intensity * np.array([warm - 0.5 * green, green, -warm - 0.5 * green]) * 1.2)
    return _all(_through(pixels, gains / (gains @ np.array([0.2126, 0.7152, 0.0722]))))


def code_coarsely(rng: np.random.Generator, pixels: Pixels, intensity: float) -> Drawn:
    """Through JPEG of a quality of 90 (a hint) down to about 12."""
    quality = int(np.clip(round(90 - 78 * intensity**0.7 + rng.uniform(-3, 3)), 5, 95))
    coded = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return _all(np.ascontiguousarray(np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))[..., ::-1]))


def crop_closely(rng: np.random.Generator, pixels: Pixels, intensity: float) -> Drawn:
    """A part of the picture, off its middle; with `intensity` down to half of each side. Nothing is drawn."""
    height, width = pixels.shape[:2]
    share = 1.0 - intensity * rng.uniform(0.4, 0.5)
    rows, columns = max(1, round(height * share)), max(1, round(width * share))
    place = np.clip(0.5 + rng.normal(0, 0.16, 2), 0, 1)
    top, left = round(float(place[0]) * (height - rows)), round(float(place[1]) * (width - columns))
    return pixels[top : top + rows, left : left + columns].copy(), np.zeros((rows, columns), bool)


def _through(pixels: Pixels, gains: np.ndarray) -> Pixels:
    """Multiply light by a gain per channel: the sRGB curve undone and done again, as a table."""
    level = np.arange(256) / 255.0
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    lit = np.clip(linear[:, None] * gains, 0, 1)
    shown = np.where(lit <= 0.0031308, 12.92 * lit, 1.055 * lit ** (1 / 2.4) - 0.055)
    table = np.rint(255.0 * shown).astype(np.uint8)
    return np.asarray(cv2.LUT(pixels, table[:, None, :]))


def _all(pixels: Pixels) -> Drawn:
    return pixels, np.ones(pixels.shape[:2], bool)
