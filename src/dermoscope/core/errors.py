"""Everything that dermoscope raises on purpose.

    DermoscopeError                 exit code 1
    ├── InputError                  exit code 2: the user can mend it
    │   ├── ImageError              a file that cannot be read as an image
    │   ├── TableError              a CSV or metadata table that breaks its rules
    │   ├── ValueRuleError          a value of `core/` that breaks its rules
    │   ├── BundleError             a bundle that is missing, damaged or of another format
    │   ├── RecipeError             an unknown recipe or a setting that it cannot have
    │   ├── LeakError               one lesion, patient or image on both sides of a split
    │   ├── NotFoundError           the service holds nothing of that number
    │   ├── ConflictError           it contradicts what the service holds already
    │   └── ForbiddenError          this person may not do or see that now
    ├── MissingDependencyError      an optional package is not installed
    ├── DownloadError               a server did not deliver
    ├── BusyError                   the service has too much to do just now
    │   └── UnavailableError        what the service stands on is out of reach just now
    ├── FullError                   there is no room left on the disk
    └── TrainingError               a training run could not go on

Messages say what was wrong, where, and what to do. The command line and the API only translate them.
"""

from collections.abc import Iterable


class DermoscopeError(Exception):
    """Base of all errors raised on purpose."""

    exit_code = 1


class InputError(DermoscopeError):
    """Input that its owner can mend."""

    exit_code = 2


class ImageError(InputError):
    """A file that cannot be read as an image; the message begins with its name."""


class TableError(InputError):
    """A table that breaks its rules; the message names the file and the rows."""


class ValueRuleError(InputError):
    """A value whose parts do not fit together; the message names the offending rows."""


class BundleError(InputError):
    """A bundle that is missing, damaged or of another format."""


class RecipeError(InputError):
    """An unknown recipe, or a setting that a recipe cannot have."""


class LeakError(InputError):
    """One lesion, patient or image stands on both sides of a split."""


class NotFoundError(InputError):
    """The service holds nothing of that number."""


class ConflictError(InputError):
    """What is asked for contradicts what the service holds already."""


class ForbiddenError(InputError):
    """This person may not do or see that, or not now."""


class MissingDependencyError(DermoscopeError):
    """An optional package is not installed; the message says how to get it."""


class DownloadError(DermoscopeError):
    """A server could not be reached or did not deliver what it announced."""


class BusyError(DermoscopeError):
    """The service has accepted as much as it can hold; the same request may succeed after `again_after` seconds.

    That is None where nothing tells.
    """

    def __init__(self, message: str, again_after: int | None = None) -> None:
        super().__init__(message)
        self.again_after = again_after


class UnavailableError(BusyError):
    """What the service stands on, its database above all, cannot be reached just now."""


class FullError(DermoscopeError):
    """There is no room left on the disk."""


class TrainingError(DermoscopeError):
    """A training run could not go on; the message says what the last good checkpoint is."""


def some(items: Iterable[object], most: int = 5) -> str:
    """The first few items as text, and how many more there are: `a, b, c and 12 more`."""
    texts = [str(item) for item in items]
    shown = ", ".join(texts[:most])
    return shown if len(texts) <= most else f"{shown} and {len(texts) - most} more"


def why(error: Exception) -> str:
    """What an error says, without the number and the path of one of the system: `No such file or directory`."""
    return (isinstance(error, OSError) and error.strerror) or str(error)
