"""The bundled model of dermoscope."""

from pathlib import Path


def default() -> Path:
    """Folder of the bundle."""
    return Path(__file__).with_name("default")
