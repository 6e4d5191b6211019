"""What every router of the API has in common: who asks, which problems are documented, and how a file is sent."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Header, Response, Security
from fastapi.security import HTTPBearer

from dermoscope.serve.api.problems import documented

_BEARER = HTTPBearer(
    scheme_name="key",
    bearerFormat="dsk_PREFIX_SECRET",
    description="An API key: made under `/api/v1/keys` or on the page of the own account, shown once, good within its "
    "scopes. Not needed where the service was started with `--no-login`.",
    auto_error=False,
)


def _asks(
    x_reader: Annotated[
        str | None,
        Header(
            description="The reader's code name where the service was started with `--no-login`, `api` where it is not "
            "given; elsewhere the name of the account stands in every record, and this counts for nothing.",
            max_length=79,
            pattern=r"^[A-Za-z0-9_][A-Za-z0-9_ .@+-]*$",
            examples=["R1"],
        ),
    ] = None,
) -> None:
    """The header is read by `depends.person_of`; here it is described and checked."""


def routes(tag: str, description: str) -> tuple[APIRouter, dict[str, str]]:
    """A router of addresses that somebody asks, and its tag with a description."""
    router = APIRouter(
        tags=[tag],
        generate_unique_id_function=lambda route: route.name,
        dependencies=[Security(_BEARER), Security(_asks)],
        responses=documented(400, 401, 403, 422, 429, 503),
    )
    return router, {"name": tag, "description": description}


def file_content(*media: str, example: str | dict[str, Any] | None = None) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of a route that sends a file: text or JSON with an example, else bytes."""
    schema: dict[str, Any] = {"type": "object" if isinstance(example, dict) else "string"}
    if example is None:
        schema["format"] = "binary"
    shown = {"schema": schema, "example": "(bytes)" if example is None else example}
    return {200: {"description": "The file.", "content": dict.fromkeys(media, shown)}}


def file_response(data: bytes, media: str, *, name: str | None = None, keep: bool = False) -> Response:
    """Bytes that are shown, or saved under a name; `keep` for what whoever asked may keep for an hour."""
    headers: Mapping[str, str] = {"Cache-Control": "private, max-age=3600" if keep else "no-store"}
    if name is not None:
        headers = {**headers, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(data, media_type=media, headers=dict(headers))
