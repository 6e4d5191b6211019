"""What studies found: run, kept under DERMOSCOPE_HOME, and shipped with the package for those who train nothing.

studies/NAME/KEY/run.json        the run card; KEY stands for the recipe and the data
studies/NAME/KEY/pieces/         finished pieces of that run (see `Context.piece`)
studies/NAME/results.json        what the last finished run found
"""

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from dermoscope.core.card import RunCard
from dermoscope.core.errors import InputError, TrainingError, why
from dermoscope.core.study import Row
from dermoscope.data.home import home
from dermoscope.data.store import sole, write_file
from dermoscope.report.blocks import rewrite
from dermoscope.report.plots import drawn
from dermoscope.report.study import as_markdown, study_table
from dermoscope.report.tables import Table
from dermoscope.studies.base import Asked, Context, Plan, Progress, Study
from dermoscope.studies.consistency import judge
from dermoscope.studies.published import figure_sets
from dermoscope.train import runs

FORMAT = 1
_VERDICTS = "consistency.json"


@dataclass(frozen=True)
class Results:
    """The rows that a run found, its card, and where that was read from: `this machine` or `shipped`."""

    study: str
    card: RunCard
    rows: tuple[Row, ...]
    origin: str = "this machine"

    def as_dict(self) -> dict[str, Any]:
        """`format, study, card, rows`, as the files hold it."""
        rows = [row.as_dict() for row in self.rows]
        return {"format": FORMAT, "study": self.study, "card": self.card.model_dump(mode="json"), "rows": rows}

    @property
    def text(self) -> str:
        """The file's content."""
        return json.dumps(self.as_dict(), indent=1, allow_nan=False) + "\n"


def run_study(study: Study, asked: Asked, progress: Progress | None = None) -> Results:
    """Run a study, or go on where a run with the same recipe and data stopped, and keep what it finds.

    Raises TrainingError while another process runs it; else what the study raises.
    """
    plan = study.plan(asked)
    folder = _folder(study.name) / plan.key
    context = Context(asked, plan, folder, home() / "cache", progress)
    with _sole(folder):
        diary = runs.open_diary(folder, _card(study, plan))
        with runs.recorded(diary):
            rows = study.run(context)
        found = Results(study.name, diary.card, rows)
    write_file(_folder(study.name) / "results.json", found.text.encode())
    return found


def results_of(name: str) -> Results | None:
    """What the last run here found, else what was shipped, else None. Raises InputError for a damaged file."""
    own = _folder(name) / "results.json"
    if own.is_file():
        return read_results(own)
    return shipped_results(name)


def shipped_results(name: str) -> Results | None:
    """What the package came with; None where it has nothing of this study."""
    file = resources.files("dermoscope.studies") / "results" / f"{name}.json"
    with resources.as_file(file) as path:
        return read_results(path, "shipped") if path.is_file() else None


def read_results(path: Path, origin: str = "this machine") -> Results:
    """A file of results. Raises InputError, naming it, where it is damaged or of another format."""
    try:
        held = json.loads(path.read_bytes())
        if held["format"] != FORMAT:
            raise InputError(f"{path}: results of format {held['format']}, this version reads {FORMAT}; run it again")
        rows = tuple(Row.from_dict(row) for row in held["rows"])
        return Results(held["study"], RunCard.model_validate(held["card"]), rows, origin)
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: not the results of a study ({why(error)}); delete it, and `dermoscope study run` makes it again"
        ) from None


def _folder(name: str) -> Path:
    return home() / "studies" / name


def _card(study: Study, plan: Plan) -> RunCard:
    recipe, data = (json.loads(json.dumps(part)) for part in (plan.recipe, plan.data))
    return RunCard(
        name=study.name,
        started=runs.now(),
        changed=runs.now(),
        seed=int(recipe.get("seed", 0)),
        data=data,
        recipe=recipe,
        code=runs.code_version(),
        environment=runs.environment("cpu", 1),
    )


def _sole(folder: Path) -> AbstractContextManager[None]:
    busy = TrainingError(f"{folder}: another process runs this study; wait until it has finished")
    return sole(folder / runs.LOCK, busy, "set DERMOSCOPE_HOME to a folder that can")


def publish(root: Path, study: Study, found: Results) -> tuple[Path, Path]:
    """Write results into the package and the block `study` of their page below the repository's `root`.

    A page that does not exist yet begins with the title and the block. Raises InputError where a page has no block.
    """
    page = root / "docs" / "studies" / f"{study.name}.md"
    begun = f"# {study.title}\n\n<!-- figures:study -->\n<!-- /figures:study -->\n"
    text = page.read_text() if page.is_file() else begun
    written = rewrite(text, {"study": page_block(study, found)}, page.name)
    for name, content in figures_of(study, found).items():
        write_file(page.parent / name, content)
    folder = root / "src" / "dermoscope" / "studies" / "results"
    verdicts = json.dumps([judge(figures).as_dict() for figures in figure_sets()], indent=1)
    write_file(folder / _VERDICTS, f"{verdicts}\n".encode())
    return write_file(folder / f"{study.name}.json", found.text.encode()), write_file(page, written.encode())


def verdicts_of(name: str) -> list[dict[str, Any]]:
    """What the package came with of a study's figure sets: whether they can stand together (`Verdict.as_dict`)."""
    with resources.as_file(resources.files("dermoscope.studies") / "results" / _VERDICTS) as path:
        held = json.loads(path.read_bytes()) if path.is_file() else []
    return [verdict for verdict in held if verdict["study"] == name]


def table_of(study: Study, found: Results) -> Table:
    """Claims beside what was measured, and where it was measured."""
    return study_table(study.name, study.title, found.rows, [where_measured(found)])


def where_measured(found: Results) -> str:
    """When, with which version and on which data, as a sentence."""
    card = found.card
    data = f"{card.data.get('name', 'unnamed')} ({card.data['sha256'][:12]})"
    return f"Measured {card.changed[:10]} with dermoscope {card.code['version']} on {data}."


def figures_of(study: Study, found: Results) -> dict[str, bytes]:
    """File name -> SVG of each figure of the results. Raises MissingDependencyError without matplotlib."""
    return {f"{study.name}-{plot.name}.svg": drawn(plot) for plot in study.plots(found.rows)}


def page_block(study: Study, found: Results) -> str:
    """What a page of the docs shows of the results: claims, figures, the table."""
    shown = [f"![{plot.title}]({study.name}-{plot.name}.svg)" for plot in study.plots(found.rows)]
    cited = f"Claims: {study.paper.citation}." if study.claims else f"Method: {study.paper.citation}."
    return "\n\n".join([cited, *shown, as_markdown(table_of(study, found))])
