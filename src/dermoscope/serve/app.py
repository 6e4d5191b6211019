"""The service as one application: opened, put together, closed."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from urllib.parse import urlsplit

from fastapi import Depends, FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool

from dermoscope import __version__
from dermoscope.core.errors import InputError
from dermoscope.serve import accounts, api, models, pages, rules, views
from dermoscope.serve.api import problems
from dermoscope.serve.api.describe import describe
from dermoscope.serve.blobs import Blobs
from dermoscope.serve.depends import authorised
from dermoscope.serve.desk import Service
from dermoscope.serve.doors import Doors, make_room
from dermoscope.serve.engine import Engine
from dermoscope.serve.guard import stand_before
from dermoscope.serve.holding import give_back_large_pieces
from dermoscope.serve.keeping import Keeping
from dermoscope.serve.limits import FORM_LIMITS, BodyLimit
from dermoscope.serve.metrics import Metrics
from dermoscope.serve.oidc import Provider
from dermoscope.serve.options import Options
from dermoscope.serve.processes import Beat
from dermoscope.serve.site import first_start
from dermoscope.serve.slow import BodyTime
from dermoscope.serve.store import Store
from dermoscope.serve.throttle import Allowance
from dermoscope.serve.vault import Vault
from dermoscope.serve.watch import watch
from dermoscope.serve.worker import Worker

_LOOPBACK = ("127.0.0.1", "localhost", "::1", "testserver")


def open_service(options: Options) -> Service:
    """Database, files and model, ready to serve. `close_service` ends it.

    Raises InputError for a folder or database that cannot be used, BundleError for a model that cannot.
    """
    give_back_large_pieces()
    if options.no_login and not options.on_loopback:
        raise InputError(
            f"others reach {options.host}, and with --no-login everybody is an admin; leave it out, or serve 127.0.0.1"
        )
    if options.workers > 1 and not options.url.startswith("postgresql"):
        raise InputError("several processes need PostgreSQL; name a --database, or leave out --workers")
    store = Store.open(options)
    try:
        predictor = models.first(options, store)
    except BaseException:
        store.close()
        raise
    with store.begin() as session:
        first_start(session, no_login=options.no_login)
    engine = Engine(predictor, options.most_waiting)
    return Service(options, store, Blobs(options.folder, Vault.of(options)), engine, accounts.key_of(options.folder))


def close_service(service: Service) -> None:
    """Give everything back; whoever still waits for the model is refused."""
    service.engine.close(at_once=True)  # requests are answered by now, or were given up
    service.store.close()


def _life(options: Options, service: Service | None) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """From the start of the service to its end."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        opened = await run_in_threadpool(open_service, options) if service is None else service
        app.state.service, app.state.metrics = opened, Metrics(opened)
        app.state.most_uploads = make_room(options.most_waiting)
        beat = await run_in_threadpool(_beat, opened)
        worker, keeping = Worker(opened), await run_in_threadpool(Keeping, opened)
        try:
            yield
        finally:
            await run_in_threadpool(worker.close)
            await run_in_threadpool(beat.close)
            await run_in_threadpool(keeping.close)
            app.state.metrics.close()
            await run_in_threadpool(close_service, opened)

    return life


def create_app(options: Options, service: Service | None = None) -> FastAPI:
    """The application. The service (opened when it starts, where none is given) stands in `app.state.service`."""
    app = FastAPI(
        title="dermoscope",
        version=__version__,
        summary="A second reader of dermoscopic images for research, that knows when not to answer.",
        description="Research software: not a medical device, no diagnosis without a physician.",
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=_life(options, service),
        openapi_tags=api.TAGS,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # it would answer with whatever name it was called by
        dependencies=[Depends(authorised), Depends(views.viewed, scope="function")],
        form_limits={**FORM_LIMITS},
    )
    app.include_router(api.root)
    app.include_router(api.router)
    app.include_router(pages.router)
    app.mount("/static", StaticFiles(packages=[("dermoscope.serve", "static")]), name="static")
    app.state.rules, app.state.views, app.state.allowance = rules.matched(app), views.matched(app), Allowance()
    app.state.provider = Provider.of(options)
    problems.install(app, pages.error_page)
    describe(app, login=not options.no_login)
    app.add_middleware(Doors, page=pages.error_page)
    app.add_middleware(BodyLimit)
    app.add_middleware(BodyTime)
    stand_before(app, _names(options), alone=options.no_login)
    watch(app, options)
    return app


def _beat(service: Service) -> Beat:
    """That this process lives, and the model that it is to serve."""
    engine, store = service.engine, service.store
    follower = models.Follower(service.options, store, engine)
    return Beat(store, service.name, lambda: engine.predictor.bundle.sha256, [follower.follow])


def _names(options: Options) -> tuple[str, ...]:
    """The names that the service answers to; none where it has an address of its own, which may have any."""
    if not options.on_loopback:
        return ()
    return (*_LOOPBACK, options.host, *filter(None, [urlsplit(options.public_url).hostname]))
