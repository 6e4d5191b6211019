"""Small copies of images, for pages."""

import io

import cv2
from PIL import Image

from dermoscope.data.images import Source, read_image


def thumbnail(source: Source, side: int = 480, *, note: str = "", quality: int = 82) -> bytes:
    """A JPEG of an image whose longer side has at most `side` px; `note` is kept as its comment.

    The image is never enlarged or cropped, and nothing else of the file (EXIF, position, profile) is carried over.
    Raises ImageError for what cannot be read as an image.
    """
    picture = read_image(source, at_least=side)
    height, width = picture.pixels.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(picture.pixels, size, interpolation=cv2.INTER_AREA) if scale < 1 else picture.pixels
    out = io.BytesIO()
    Image.fromarray(small).save(out, "JPEG", quality=quality, comment=note.encode())
    return out.getvalue()
