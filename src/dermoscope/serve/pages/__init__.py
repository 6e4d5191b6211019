"""The pages that readers see: one module for each screen; `common` draws them."""

from fastapi import APIRouter

from dermoscope.serve.pages import (
    about,
    account,
    batches,
    case,
    delete,
    enter,
    facts,
    history,
    link,
    media,
    model,
    new,
    oidc,
    paper,
    preferences,
    samples,
    settings,
    silent,
    users,
    whatif,
    worklist,
)
from dermoscope.serve.pages.errors import error_page

__all__ = ["error_page", "router"]

router = APIRouter()
for _screen in (worklist, new, case, facts, delete, whatif, paper, media, samples, batches):
    router.include_router(_screen.router)
for _screen in (settings, silent, history, model, about, enter, oidc, link, account, users, preferences):
    router.include_router(_screen.router)
