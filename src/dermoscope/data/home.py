"""Where dermoscope keeps its state."""

import os
from pathlib import Path


def home() -> Path:
    """`DERMOSCOPE_HOME`, else the user's data directory for dermoscope. Not created here."""
    configured = os.environ.get("DERMOSCOPE_HOME")
    if configured:
        return Path(configured)
    from platformdirs import user_data_path

    return user_data_path("dermoscope", appauthor=False)
