"""The description of the API (`/openapi.json`): what FastAPI makes of the routes, completed by what the app knows."""

from typing import Any

from fastapi import FastAPI

from dermoscope.serve.api.problems import PLACE, documented
from dermoscope.serve.cases import OTHER
from dermoscope.serve.rules import RULES


def describe(app: FastAPI, *, login: bool) -> None:
    """Let the application say where a key is needed, and which problems any address has.

    Without `login` the service is reached from its own machine only, and asks for no key.
    """
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = made()
            for path, item in found["paths"].items():
                for method, operation in item.items():
                    rule = RULES.get((method.upper(), path))
                    _complete(operation, path, login and (rule is None or rule.role is not None))
            _name_diagnoses(found, app)
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(operation: dict[str, Any], path: str, login: bool) -> None:
    if not login:
        operation.pop("security", None)
    if not path.startswith(PLACE):
        for status, said in documented(403).items():
            operation["responses"].setdefault(str(status), said)


def _name_diagnoses(found: dict[str, Any], app: FastAPI) -> None:
    """The codes of the model that is served, once it is."""
    service = getattr(app.state, "service", None)
    if service is None:
        return
    codes = [*service.engine.predictor.taxonomy.codes, OTHER]
    for name in ("HistologyIn", "ReadingIn"):
        field = found["components"]["schemas"][name]["properties"]["diagnosis"]
        for one in field.get("anyOf", [field]):
            if one.get("type") == "string":
                one["enum"] = codes
