"""Settings of a start: flags before environment before a file before defaults, and where each of them was said.

    --port 8080  >  DERMOSCOPE_SERVE_PORT=8080  >  port = 8080 in FOLDER/dermoscope.toml  >  8000

Secrets may stand in files of their own, as containers give them: `DERMOSCOPE_KEY_FILE`, `key_file` in the TOML file.
What is wrong is told with its place and the remedy; a secret is never repeated.
"""

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource, TomlConfigSettingsSource

from dermoscope.core.errors import InputError, why
from dermoscope.serve.options import Options, default_folder
from dermoscope.serve.settings import PREFIX, SECRETS, SHORT, Settings, variable
from dermoscope.serve.vault import key_from

FILE = "dermoscope.toml"
"""The file of settings that is read from the folder where none is named."""
CONFIG = f"{PREFIX}CONFIG"
"""The variable that names another one."""
HIDDEN = "(hidden)"
_DEFAULT = "default"


@dataclass(frozen=True)
class Found:
    """A value as it was said, and where: `flag --port`, `variable DERMOSCOPE_SERVE_PORT`, `x.toml, line 3`."""

    value: object
    where: str


@dataclass(frozen=True)
class Configured:
    """The options of a start, and where each was said; what is not in `said` is a default."""

    options: Options
    said: Mapping[str, str]

    def where(self, name: str) -> str:
        """Where a setting was said."""
        return self.said.get(name, _DEFAULT)

    def shown(self) -> dict[str, dict[str, Any]]:
        """Every setting with its value and its place; secrets and passwords are hidden."""
        given = {one.name: getattr(self.options, one.name) for one in fields(Options)}
        return {name: {"value": _shown(name, value), "from": self.where(name)} for name, value in given.items()}


def configure(flags: Mapping[str, object] | None = None, config: Path | None = None) -> Configured:
    """The options of a start. `flags` that are None were not given; `config` is the file of settings.

    Reads the environment. Raises InputError for an unknown name, a value that cannot be, or a file that cannot be read
    or holds secrets that others of the machine may read. Whether the settings are safe together says `refusals`.
    """
    given = {name: Found(value, _flag(name)) for name, value in (flags or {}).items() if value is not None}
    given = {**_of_environment(), **given}
    path = config or _config_of(given)
    found = {**(_of_file(path) if path else {}), **given}
    try:
        settings = Settings.model_validate({name: one.value for name, one in found.items()})
        options = Options(**{**dict(settings), "folder": settings.folder or default_folder(), "key": _key(found)})
    except ValidationError as error:
        raise InputError("\n".join(_sentence(one["loc"], found) for one in error.errors(include_input=False))) from None
    return Configured(options, {name: one.where for name, one in found.items()})


def options_for(folder: Path | None = None, database: str = "") -> Options:
    """The options of a command that looks after what a service has stored, beside it or while it is stopped.

    Raises InputError like `configure`.
    """
    return configure({"folder": folder, "database": database or None}).options


def _config_of(given: Mapping[str, Found]) -> Path | None:
    """The file of settings that nobody named on the command line; None where there is none."""
    named = os.environ.get(CONFIG)
    if named:
        return Path(named)
    folder = given["folder"].value if "folder" in given else default_folder()
    path = Path(str(folder)).expanduser() / FILE
    return path if path.is_file() else None


def _of_environment() -> dict[str, Found]:
    known = {variable(name): name for name in Settings.model_fields}
    files = {f"{variable(name)}_FILE": name for name in SECRETS}
    for name in os.environ:
        if name.startswith(PREFIX) and name.upper() not in {*known, *files, CONFIG}:
            raise InputError(f"variable {name}: there is no such setting{_nearest(name, [*known, *files])}")
    read = {known.get(name, name): value for name, value in EnvSettingsSource(Settings)().items()}
    found = {name: Found(value, f"variable {variable(name)}") for name, value in read.items()}
    for named, name in files.items():
        if not os.environ.get(named):
            continue
        if name in found:
            raise InputError(f"variables {variable(name)} and {named} are both given; take one of them away")
        found[name] = Found(_secret(Path(os.environ[named]), f"variable {named}"), f"variable {named}")
    return found


def _of_file(path: Path) -> dict[str, Found]:
    try:
        text = path.read_text("utf-8")
        read = dict(TomlConfigSettingsSource(Settings, toml_file=path)())
    except (OSError, ValueError) as error:  # what is no TOML is a ValueError, and what is no UTF-8 is, too
        raise InputError(f"{path}: cannot be read as TOML ({why(error)}); correct it") from None
    short = {variable(name): name for name in SHORT}
    files = {f"{name}_file": name for name in SECRETS}
    known = [*Settings.model_fields, *files]
    found: dict[str, Found] = {}
    for written, value in read.items():
        name = short.get(written, written)
        where = f"{path}, line {_line(text, name)}"
        if name not in known:
            raise InputError(f"{where}: there is no setting {name!r}{_nearest(name, known)}")
        if name in files:
            name, value = files[name], _secret(path.parent / str(value), where)
        elif name in SECRETS and _hides(name, value):
            _for_nobody_else(path, where)
        if name in found:
            raise InputError(f"{where}: {name} and {name}_file are both given; take one of them away")
        found[name] = Found(value, where)
    return found


def _secret(path: Path, where: str) -> str:
    """A secret from a file of its own, without the line's end."""
    try:
        text = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = why(error) if isinstance(error, OSError) else "it is no text"
        raise InputError(f"{where}: {path} cannot be read ({reason}); name the file that holds the secret") from None
    if not text:
        raise InputError(f"{where}: {path} is empty; it is to hold the secret")
    _for_nobody_else(path, where)
    return text


def _for_nobody_else(path: Path, where: str) -> None:
    """Raise InputError for a file that everybody on the machine may read."""
    if path.stat().st_mode & 0o004:
        raise InputError(f"{where}: everybody on this machine may read {path}, and it holds a secret: chmod o-r {path}")


def _key(found: Mapping[str, Found]) -> bytes:
    if "key" not in found:
        return b""
    try:
        return key_from(str(found["key"].value))
    except InputError as error:
        raise InputError(f"{found['key'].where}: {error}") from None


def _sentence(loc: tuple[int | str, ...], found: Mapping[str, Found]) -> str:
    """What is wrong with a setting, where it stands, and what it takes."""
    names = {variable(name): name for name in SHORT}
    name = names.get(str(loc[0]), str(loc[0]))
    one = found[name]
    value = HIDDEN if name in SECRETS else repr(one.value)[:80]
    return f"{one.where}: {value} is not taken; give {Settings.model_fields[name].title}"


def _hides(name: str, value: object) -> bool:
    """Whether a value is a secret: the address of a database is one where it holds a password."""
    return bool(value) and (name != "database" or password_in(str(value)))


def password_in(address: str) -> bool:
    """Whether the address of a database holds a password."""
    try:
        parts = urlsplit(address)
        return parts.password is not None or "password" in parts.query.lower()
    except ValueError:
        return True


def _shown(name: str, value: Any) -> Any:
    if name in SECRETS:
        return HIDDEN if _hides(name, value) else str(value or "")
    return str(value) if isinstance(value, Path) else value


def _flag(name: str) -> str:
    return f"flag --{name.replace('_', '-')}"


def _line(text: str, name: str) -> int:
    """The line of a TOML file in which a setting stands: as `name = ...`, or as the table `[name]`."""
    wanted = re.compile(rf"""\s*\[*\s*["']?{re.escape(name)}["']?\s*[=.\]]""")
    return next((at for at, line in enumerate(text.splitlines(), 1) if wanted.match(line)), 1)


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else "; docs/reference/environment.md lists them"
