"""What a user names on the command line becomes images with unique ids."""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from dermoscope.core.errors import InputError, some
from dermoscope.data.images import MAX_BYTES, Source, list_images


def gather(arguments: Sequence[str], stdin: BinaryIO) -> tuple[list[Source], list[str]]:
    """Files, folders (searched below too) and `-` (one image on standard input) as sources and their ids.

    An id is the file's name without extension; the image on standard input is called `stdin`.
    Raises InputError for a folder without images or two files of one name.
    """
    sources: list[Source] = []
    names: list[str] = []
    for argument in arguments:
        path = Path(argument)
        if argument == "-":
            sources.append(stdin.read(MAX_BYTES + 1))
            names.append("stdin")
        elif _is_folder(path):
            found = list_images(path)
            if not found:
                raise InputError(f"{path}: no image files in this folder or below")
            sources += found
            names += [image.stem for image in found]
        else:
            sources.append(path)
            names.append(path.stem)
    _check_unique(sources, names)
    return sources, names


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name too long, no permission: reading it as an image says which
        return False


def _check_unique(sources: Sequence[Source], names: Sequence[str]) -> None:
    first: dict[str, Source] = {}
    clashes = []
    for source, name in zip(sources, names, strict=True):
        if name in first:
            clashes.append(f"{_called(first[name])} and {_called(source)}")
        first.setdefault(name, source)
    if clashes:
        raise InputError(
            f"images are told apart by file name without extension, and these share one: {some(clashes)}; "
            "rename one of them, or classify the folders one after the other"
        )


def _called(source: Source) -> str:
    return str(source) if isinstance(source, Path) else "standard input"
