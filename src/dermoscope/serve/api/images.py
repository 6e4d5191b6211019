"""Pictures as they are stored, and small copies of them."""

from typing import Annotated

from fastapi import Query, Response

from dermoscope.serve import answers, cases
from dermoscope.serve.api.frame import file_content, file_response, routes
from dermoscope.serve.api.problems import documented
from dermoscope.serve.api.schemas import ImageOut
from dermoscope.serve.api.words import Code, Number
from dermoscope.serve.blobs import SIDES
from dermoscope.serve.depends import Asking, Serving

router, tag = routes("images", "Pictures of cases: without EXIF, GPS and names, otherwise as they were sent.")


@router.get("/images/{image_id}", response_model=ImageOut, responses=documented(404))
def show_image(service: Serving, person: Asking, image_id: Number) -> ImageOut:
    """What is known of an image."""
    with service.looking(person) as desk:
        return ImageOut.of(cases.get_image(desk, image_id))


@router.get(
    "/images/{image_id}/full",
    response_class=Response,
    responses=documented(404) | file_content("image/jpeg", "image/png"),
)
def full(service: Serving, person: Asking, image_id: Number) -> Response:
    """The picture in full resolution."""
    with service.looking(person) as desk:
        image = cases.get_image(desk, image_id)
        digest, media = image.digest, image.blob.media
    return file_response(service.blobs.read(digest), media)


@router.get("/images/{image_id}/thumb", response_class=Response, responses=documented(404) | file_content("image/jpeg"))
def thumb(
    service: Serving,
    person: Asking,
    image_id: Number,
    side: Annotated[int, Query(ge=32, le=SIDES[-1], description="Pixels of the longer side, at least.")] = 320,
) -> Response:
    """A small copy."""
    with service.looking(person) as desk:
        digest = cases.get_image(desk, image_id).digest
    return file_response(service.blobs.thumbnail(digest, side), "image/jpeg", keep=True)


@router.get("/images/{image_id}/heat", response_class=Response, responses=documented(404) | file_content("image/png"))
def heat(service: Serving, person: Asking, image_id: Number, diagnosis: Code) -> Response:
    """Where the model found what speaks for a diagnosis: transparent, to lay over the centre square of the picture.

    Forbidden while the answer is not shown. How faithful such maps are has not been measured.
    """
    found = answers.heat_map(service, person, image_id, diagnosis)
    return file_response(found, "image/png")


@router.delete("/images/{image_id}", status_code=204, responses=documented(404, 409))
def remove_image(service: Serving, person: Asking, image_id: Number) -> None:
    """Take out an image that was added by mistake, until somebody has read its visit."""
    with service.desk(person) as desk:
        cases.remove_image(desk, image_id)
