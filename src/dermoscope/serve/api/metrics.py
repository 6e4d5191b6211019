"""Figures for Prometheus."""

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from dermoscope.serve.api.frame import file_content
from dermoscope.serve.api.problems import documented
from dermoscope.serve.metrics import Metrics

router = APIRouter(tags=["about"], generate_unique_id_function=lambda route: route.name)
_SHOWN = 'dermoscope_http_requests_total{method="GET",route="/api/v1/cases",status="2xx"} 12.0'


@router.get(
    "/metrics",
    response_class=Response,
    responses={**file_content("text/plain", example=_SHOWN), **documented(401, 403)},
)
def metrics(request: Request) -> Response:
    """Figures of the service in the format of Prometheus.

    For programs of this machine where no proxy stands in front, else for keys with the scope `metrics`.
    """
    told: Metrics = request.app.state.metrics
    return Response(told.text(), media_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})
