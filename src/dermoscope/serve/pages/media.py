"""Pictures as the pages show them: full resolution, small, and the heat map over what the model saw."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import RedirectResponse

from dermoscope.serve import answers, cases
from dermoscope.serve.depends import Asking, Serving

router = APIRouter(include_in_schema=False)
FOREVER = {"Cache-Control": "private, max-age=31536000, immutable", "Content-Disposition": "inline"}
"""A drawing never changes, and is of nobody."""
_A_WHILE = {"Cache-Control": "private, max-age=3600", "Content-Disposition": "inline"}
_NOT_KEPT = {"Cache-Control": "no-store", "Content-Disposition": "inline"}
"""What a browser kept would outlive its deletion, and be seen again without a line in the trail."""


@router.get("/images/{image_id:int}/full")
def full(service: Serving, person: Asking, image_id: int) -> Response:
    """The picture as it is stored."""
    with service.looking(person) as desk:
        image = cases.get_image(desk, image_id)
        digest, media = image.digest, image.blob.media
    return Response(service.blobs.read(digest), media_type=media, headers=_NOT_KEPT)


@router.get("/images/{image_id:int}/thumb")
def small(
    service: Serving, person: Asking, image_id: int, side: Annotated[int, Query(ge=32, le=1280)] = 160
) -> Response:
    """A small copy."""
    with service.looking(person) as desk:
        digest = cases.get_image(desk, image_id).digest
    return Response(service.blobs.thumbnail(digest, side), media_type="image/jpeg", headers=_A_WHILE)


@router.get("/favicon.ico")
def icon() -> RedirectResponse:
    """Browsers ask for this by themselves, where what they show is no page of ours: JSON, a part of a page."""
    return RedirectResponse("/static/icon.svg")


@router.get("/images/{image_id:int}/heat")
def heat(service: Serving, person: Asking, image_id: int, diagnosis: Annotated[str, Query(max_length=10)]) -> Response:
    """What speaks for a diagnosis, over the very square that the model saw.

    Raises ForbiddenError while the answer is not shown, BundleError where the model gives no map of these pixels.
    """
    found = answers.heat_map(service, person, image_id, diagnosis)
    return Response(found, media_type="image/png", headers={"Cache-Control": "no-store"})
