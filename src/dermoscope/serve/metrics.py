"""Figures of the service for Prometheus: what was asked, how long it took, what waits, how many answers.

No label names a patient, a case or a reader: routes are patterns, models are hashes. Nor does one say what was
answered: whoever adds a picture would read there what `answers.visible` hides. Of several processes each counts in
files of a folder that they share, and any of them tells of all; what the database and the disk hold is looked up when
it is asked for.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.process_collector import ProcessCollector
from sqlalchemy import event, func, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from dermoscope import __version__
from dermoscope.core.errors import DermoscopeError
from dermoscope.serve.desk import Service
from dermoscope.serve.readiness import readiness
from dermoscope.serve.tables import Blob, Case, Event, Head, Image, JobItem, Result
from dermoscope.serve.watch import Seen

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which several processes find the folder of their counters."""
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Upper limits of the histogram of seconds."""
_NEWS = "metrics.news"


def shared_folder() -> Path:
    """A folder for the counters of several processes, named to those that are started from now on.

    To be called before anything imports `prometheus_client`; whoever calls removes it in the end.
    """
    folder = Path(tempfile.mkdtemp(prefix="dermoscope-metrics-"))
    os.environ[FOLDER] = str(folder)
    return folder


class Metrics:
    """The counters of one application; `close` it at the end."""

    def __init__(self, service: Service) -> None:
        self.service, self.registry, self._read = service, CollectorRegistry(), 0
        self.requests = self._counter("http_requests", "Requests", "route", "method", "status")
        self.seconds = Histogram(
            "dermoscope_http_request_seconds",
            "Seconds until a request was answered",
            ("route", "method"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.sent = self._counter("http_sent_bytes", "Bytes of answers", "route")
        self.refused = self._counter("busy_refusals", "Requests refused because there was too much to do")
        self.images = self._counter("images_read", "Images that went through the network")
        self.answers = self._counter("answers", "Answers that were stored, by model", "model")
        self.events = self._counter("events", "Lines of the audit trail, by verb", "what")
        self.waiting = self._gauge("images_waiting", "Images that wait for the network")
        self.busy = self._gauge("images_busy", "Images in the network")
        self.events.labels("login.failed")  # told from the first moment, with 0
        for moment, told in self._listeners():
            event.listen(service.store.writers, moment, told)

    def close(self) -> None:
        """Listen to the database no longer."""
        for moment, told in self._listeners():
            event.remove(self.service.store.writers, moment, told)

    def seen(self, request: Seen) -> None:
        """Count a request; `status` is its class, `5xx`."""
        status = f"{request.status // 100}xx" if request.status else "gone"
        self.requests.labels(request.route, request.method, status).inc()
        self.seconds.labels(request.route, request.method).observe(request.seconds)
        self.sent.labels(request.route).inc(request.size)
        if request.status == 503 and request.route != "/ready":
            self.refused.inc()
        self._look()

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        self._look()
        counted, folder = self.registry, os.environ.get(FOLDER)
        if folder:
            _forget_the_dead(Path(folder))
            counted = CollectorRegistry()
            MultiProcessCollector(counted, folder)  # type: ignore[no-untyped-call]
        state = CollectorRegistry()
        state.register(_State(self.service))
        ProcessCollector(registry=state)
        return generate_latest(counted) + generate_latest(state)

    def _look(self) -> None:
        load = self.service.engine.load
        self.images.inc(max(0, load.done - self._read))
        self._read = max(load.done, self._read)
        self.waiting.set(load.waiting)
        self.busy.set(load.busy)

    def _listeners(self) -> tuple[tuple[str, Any], ...]:
        return (("after_flush", self._written), ("after_commit", self._kept), ("after_rollback", _dropped))

    def _written(self, session: Session, _: object) -> None:
        news = session.info.setdefault(_NEWS, [])
        for row in session.new:
            if isinstance(row, Event):
                news.append((self.events, (row.what,)))
            elif isinstance(row, Result):
                news.append((self.answers, (row.model[:12],)))

    def _kept(self, session: Session) -> None:
        for counter, labels in session.info.pop(_NEWS, ()):
            counter.labels(*labels).inc()

    def _counter(self, name: str, said: str, *labels: str) -> Counter:
        return Counter(f"dermoscope_{name}", said, labels, registry=self.registry)

    def _gauge(self, name: str, said: str) -> Gauge:
        return Gauge(f"dermoscope_{name}", said, registry=self.registry, multiprocess_mode="livesum")


def _dropped(session: Session) -> None:
    session.info.pop(_NEWS, None)


class _State:
    """What is there at this moment: looked up, never counted along."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def collect(self) -> Iterator[Metric]:
        """Figures of database, disk and readiness; those of a database that does not answer are left out."""
        built = GaugeMetricFamily("dermoscope_info", "Version and model that is served", labels=["version", "model"])
        built.add_metric([__version__, self.service.engine.predictor.bundle.sha256[:12]], 1)
        yield built
        ready = GaugeMetricFamily("dermoscope_ready", "Whether a part can do its work", labels=["part"])
        for part, state in readiness(self.service).items():
            ready.add_metric([part], state == "ok")
        yield ready
        free = shutil.disk_usage(self.service.options.folder).free
        yield GaugeMetricFamily("dermoscope_disk_free_bytes", "Room where images are kept", free)
        with contextlib.suppress(SQLAlchemyError, DermoscopeError), self.service.store.read() as session:
            yield from self._stored(session)

    def _stored(self, session: Session) -> Iterator[Metric]:
        lines = session.scalar(select(Head.count)) or 0
        waiting = select(func.count()).select_from(JobItem).where(JobItem.state == "waiting")
        size = session.scalar(select(func.sum(Blob.size))) or 0
        yield CounterMetricFamily("dermoscope_audit_lines", "Lines of the audit trail, ever", lines)
        for name, said, wanted in (
            ("cases", "Cases that are stored", select(func.count()).select_from(Case)),
            ("images", "Images that are stored", select(func.count()).select_from(Image)),
            ("batch_images_waiting", "Images of batches that are still to be read", waiting),
        ):
            yield GaugeMetricFamily(f"dermoscope_{name}", said, session.scalar(wanted) or 0)
        yield GaugeMetricFamily("dermoscope_images_bytes", "Bytes of the images that are stored", float(size))
        yield GaugeMetricFamily("dermoscope_database_bytes", "Bytes of the database", self._database(session))

    def _database(self, session: Session) -> float:
        if self.service.store.engine.dialect.name != "sqlite":
            return float(session.scalar(text("SELECT pg_database_size(current_database())")) or 0)
        pages = session.scalar(text("PRAGMA page_count")) or 0
        return float(pages * (session.scalar(text("PRAGMA page_size")) or 0))


def _forget_the_dead(folder: Path) -> None:
    """Gauges of processes that have ended; what they had counted stays."""
    for path in folder.glob("gauge_live*_*.db"):
        number = int(path.stem.rpartition("_")[2])
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            mark_process_dead(number, str(folder))  # type: ignore[no-untyped-call]
        except PermissionError:
            continue
