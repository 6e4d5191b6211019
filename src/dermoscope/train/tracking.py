"""Optional logging of runs to MLflow: settings, a line per epoch, validation figures, the run card.

It needs the extra `log` (mlflow-skinny). Where the runs go is MLflow's own setting, `MLFLOW_TRACKING_URI`.
"""

import os
from pathlib import Path
from typing import Any

from dermoscope.core.card import RunCard
from dermoscope.core.errors import InputError, MissingDependencyError
from dermoscope.data.store import write_file
from dermoscope.train import runs

URI = "MLFLOW_TRACKING_URI"
_NAMED = "mlflow-run"


def wanted(asked: bool | None) -> bool:
    """Whether to log: as asked, else where MLflow is installed and `MLFLOW_TRACKING_URI` says where to.

    Raises MissingDependencyError when it is asked for and not installed.
    """
    from importlib.util import find_spec

    there = find_spec("mlflow") is not None
    if asked and not there:
        raise MissingDependencyError(
            "logging to MLflow needs mlflow-skinny: pip install -c constraints.txt -e '.[log]' in the clone"
        )
    return there and bool(os.environ.get(URI)) if asked is None else asked


def listener(asked: bool | None) -> "MlflowListener | None":
    """What `train` tells of a run to MLflow, where that is `wanted`."""
    return MlflowListener() if wanted(asked) else None


class MlflowListener:
    """Writes a run to MLflow (experiment `dermoscope`); a run that is resumed goes on as the same one there.

    Raises InputError when MLflow cannot be reached at the beginning. What fails later is left out: a server that goes
    away must not cost a training run.
    """

    def __init__(self) -> None:
        self._client: Any = None
        self._run = ""
        self._logged = 0
        self._lost = False

    def begin(self, folder: Path, card: RunCard) -> None:
        """Create the run, or find the one that an earlier part of this run created."""
        try:
            from mlflow.tracking import MlflowClient

            self._client = MlflowClient()
            self._run = self._named(folder, card)
            self._client.update_run(self._run, "RUNNING")
            history = self._client.get_metric_history(self._run, "loss")
        except Exception as error:  # its stores raise errors of many libraries
            why = str(error).strip().split("\n")[0][:300]
            raise InputError(
                f"MLflow cannot be used at {os.environ.get(URI, 'its default store')} ({why}); mend {URI}, or train "
                "with --no-mlflow"
            ) from error
        self._logged = 1 + max((m.step for m in history), default=-1)
        for line in runs.read_log(folder)[self._logged :]:  # a kill may have come between an epoch and its line
            self.epoch(line)

    def epoch(self, line: dict[str, Any]) -> None:
        """Every number of an epoch's line."""
        numbers = {k: v for k, v in line.items() if isinstance(v, int | float) and k != "epoch"}
        self._log(numbers, step=self._logged)
        self._logged += 1

    def end(self, card: RunCard) -> None:
        """Validation figures with their intervals, the run card, and how the run ended."""
        found: dict[str, float] = {}
        for figures in card.figures:
            for name in figures.estimates:
                e = figures.get(name)
                for suffix, value in (("", e.value), ("_low", e.low), ("_high", e.high)):
                    if value is not None:
                        found[f"validation/{name.replace(':', '/')}{suffix}"] = value
        self._log(found, step=0)
        state = {"finished": "FINISHED", "stopped": "FAILED"}.get(card.state, "KILLED")
        self._told("log_dict", card.model_dump(mode="json"), runs.CARD)
        self._told("set_terminated", state)

    def _named(self, folder: Path, card: RunCard) -> str:
        remembered = folder / _NAMED
        if remembered.exists():
            return remembered.read_text().strip()
        experiment = self._client.get_experiment_by_name("dermoscope")
        where = experiment.experiment_id if experiment else self._client.create_experiment("dermoscope")
        run: str = self._client.create_run(where, run_name=folder.name, tags=_tags(card)).info.run_id
        for key, value in runs.settings_of(card).items():
            self._client.log_param(run, key, value)
        write_file(remembered, run.encode())
        return run

    def _log(self, numbers: dict[str, float], step: int) -> None:
        for key, value in numbers.items():
            self._told("log_metric", key, value, step=step)

    def _told(self, what: str, *arguments: Any, **more: Any) -> None:
        import warnings

        try:
            getattr(self._client, what)(self._run, *arguments, **more)
        except Exception as error:  # its stores raise errors of many libraries
            if not self._lost:
                said = f"MLflow did not take {what}, so its record of this run has gaps: {error}"
                warnings.warn(said, RuntimeWarning, stacklevel=2)
            self._lost = True


def _tags(card: RunCard) -> dict[str, str]:
    code = {f"code.{k}": str(v) for k, v in card.code.items()}
    return {"recipe": card.name, "data": str(card.data["name"]), "data.sha256": str(card.data["sha256"]), **code}
