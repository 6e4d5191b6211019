"""Who may ask what: one line for every address and method. `create_app` refuses a route without one.

`depends.authorised` asks here before anything else is done. What depends on more than the address (whose reading, which
mode of the site) is asked where it is known, in `answers.visible` and its like.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from dermoscope.core.errors import ForbiddenError
from dermoscope.serve.accounts import Person, Role, Scope

Place = tuple[str, str]
"""A method and an address as its route has it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The role that is needed (None: anyone, unknown ones too), and the scope of a key (None: no key is taken here)."""

    role: Role | None
    scope: Scope | None = None
    near: bool = False
    """Whether who asks from this machine needs not be known (`depends.is_near`)."""

    def check(self, person: Person) -> None:
        """Raise ForbiddenError where this person may not, or not with this key."""
        if self.role is None:
            return
        person.require(self.role)
        if person.scopes is None:
            return
        if self.scope is None:
            raise ForbiddenError("this is for people who have entered, and no key is taken; use the API")
        if self.scope not in person.scopes:
            raise ForbiddenError(f"this needs a key with the scope {self.scope}; make one that has it")


ANYONE = Rule(None)
PAGE, REVIEW, ADMINISTER = Rule("reader"), Rule("reviewer"), Rule("admin")
"""Pages take no keys."""
READ, WRITE, CLASSIFY = Rule("reader", "read"), Rule("reader", "write"), Rule("reader", "classify")
FIGURES = Rule("reader", "metrics", near=True)
PRINT, EXPORT = Rule("reader", "export"), Rule("reviewer", "export")
ADMIN, OWN = Rule("admin", "admin"), Rule("reader", "admin")
"""`OWN` is what everybody does with an own account, and only an admin's key can have the scope for it."""

RULES: Mapping[Place, Rule] = {
    # machines that ask after the service itself
    ("GET", "/openapi.json"): ANYONE,
    ("GET", "/health"): ANYONE,
    ("GET", "/ready"): ANYONE,
    ("GET", "/model-info"): ANYONE,
    ("GET", "/metrics"): FIGURES,
    ("GET", "/api/v1/problems"): ANYONE,
    ("GET", "/api/v1/problems/{name}"): ANYONE,
    # lesions
    ("POST", "/api/v1/classify"): CLASSIFY,
    ("GET", "/api/v1/models"): READ,
    ("PUT", "/api/v1/models"): ADMIN,
    ("GET", "/api/v1/cases"): READ,
    ("POST", "/api/v1/cases"): WRITE,
    ("GET", "/api/v1/cases/{case_id}"): READ,
    ("PUT", "/api/v1/cases/{case_id}"): WRITE,
    ("POST", "/api/v1/cases/{case_id}/histology"): WRITE,
    ("DELETE", "/api/v1/cases/{case_id}/histology"): WRITE,
    ("POST", "/api/v1/cases/{case_id}/images"): WRITE,
    ("GET", "/api/v1/cases/{case_id}/readings"): READ,
    ("POST", "/api/v1/cases/{case_id}/readings"): WRITE,
    ("GET", "/api/v1/cases/{case_id}/result"): READ,
    ("GET", "/api/v1/images/{image_id}"): READ,
    ("GET", "/api/v1/images/{image_id}/full"): READ,
    ("GET", "/api/v1/images/{image_id}/thumb"): READ,
    ("GET", "/api/v1/images/{image_id}/heat"): READ,
    ("DELETE", "/api/v1/images/{image_id}"): WRITE,
    ("GET", "/api/v1/jobs"): READ,
    ("POST", "/api/v1/jobs"): WRITE,
    ("GET", "/api/v1/jobs/{job_id}"): READ,
    ("DELETE", "/api/v1/jobs/{job_id}"): WRITE,
    ("GET", "/api/v1/exports/cases/{case_id}.json"): PRINT,
    ("GET", "/api/v1/exports/cases/{case_id}.pdf"): PRINT,
    ("GET", "/api/v1/exports/readings.csv"): EXPORT,
    ("GET", "/api/v1/exports/history.csv"): EXPORT,
    ("GET", "/api/v1/silent-report"): EXPORT,
    ("GET", "/api/v1/audit"): ADMIN,
    ("GET", "/api/v1/audit/export"): ADMIN,
    ("GET", "/api/v1/audit/verify"): ADMIN,
    ("DELETE", "/api/v1/cases/{case_id}"): ADMIN,
    ("DELETE", "/api/v1/patients/{patient_id}"): ADMIN,
    # the site
    ("GET", "/api/v1/settings"): READ,
    ("PUT", "/api/v1/settings"): ADMIN,
    ("GET", "/api/v1/settings/changes"): READ,
    # accounts
    ("GET", "/api/v1/me"): READ,
    ("POST", "/api/v1/me/password"): PAGE,
    ("GET", "/api/v1/me/logins"): OWN,
    ("DELETE", "/api/v1/me/logins/{login_id}"): OWN,
    ("GET", "/api/v1/keys"): OWN,
    ("POST", "/api/v1/keys"): OWN,
    ("DELETE", "/api/v1/keys/{key_id}"): OWN,
    ("GET", "/api/v1/users"): ADMIN,
    ("POST", "/api/v1/users"): ADMIN,
    ("GET", "/api/v1/users/{user_id}"): ADMIN,
    ("PUT", "/api/v1/users/{user_id}/role"): ADMIN,
    ("POST", "/api/v1/users/{user_id}/disable"): ADMIN,
    ("POST", "/api/v1/users/{user_id}/enable"): ADMIN,
    ("POST", "/api/v1/users/{user_id}/link"): ADMIN,
    ("DELETE", "/api/v1/users/{user_id}/logins"): ADMIN,
    # pages
    ("GET", "/favicon.ico"): ANYONE,
    ("GET", "/about"): ANYONE,
    ("GET", "/enter"): ANYONE,
    ("POST", "/enter"): ANYONE,
    ("POST", "/leave"): ANYONE,
    ("GET", "/enter/oidc"): ANYONE,
    ("GET", "/enter/oidc/back"): ANYONE,
    ("POST", "/preferences"): ANYONE,
    ("GET", "/link/{token}"): ANYONE,
    ("POST", "/link/{token}"): ANYONE,
    ("GET", "/account"): PAGE,
    ("POST", "/account/password"): PAGE,
    ("POST", "/account/logins/end"): PAGE,
    ("POST", "/account/logins/{login_id}/end"): PAGE,
    ("POST", "/account/keys"): PAGE,
    ("POST", "/account/keys/{key_id}/revoke"): PAGE,
    ("GET", "/users"): ADMINISTER,
    ("POST", "/users"): ADMINISTER,
    ("GET", "/users/{user_id}"): ADMINISTER,
    ("POST", "/users/{user_id}/role"): ADMINISTER,
    ("POST", "/users/{user_id}/link"): ADMINISTER,
    ("POST", "/users/{user_id}/disable"): ADMINISTER,
    ("POST", "/users/{user_id}/enable"): ADMINISTER,
    ("POST", "/users/{user_id}/logins/end"): ADMINISTER,
    ("POST", "/users/{user_id}/logins/{login_id}/end"): ADMINISTER,
    ("POST", "/users/{user_id}/keys/{key_id}/revoke"): ADMINISTER,
    ("GET", "/"): PAGE,
    ("GET", "/cases/new"): PAGE,
    ("POST", "/cases/new"): PAGE,
    ("GET", "/cases/{case_id}"): PAGE,
    ("GET", "/cases/{case_id}/facts"): PAGE,
    ("POST", "/cases/{case_id}/facts"): PAGE,
    ("GET", "/cases/{case_id}/delete"): ADMINISTER,
    ("POST", "/cases/{case_id}/delete"): ADMINISTER,
    ("POST", "/cases/{case_id}/histology"): PAGE,
    ("GET", "/cases/{case_id}/images"): PAGE,
    ("POST", "/cases/{case_id}/images"): PAGE,
    ("POST", "/cases/{case_id}/images/{image_id}/remove"): PAGE,
    ("POST", "/cases/{case_id}/reading"): PAGE,
    ("POST", "/cases/{case_id}/reopen"): PAGE,
    ("GET", "/cases/{case_id}/result.json"): PAGE,
    ("GET", "/cases/{case_id}/result.pdf"): PAGE,
    ("POST", "/cases/{case_id}/revision"): PAGE,
    ("GET", "/cases/{case_id}/what-if"): PAGE,
    ("GET", "/images/{image_id}/full"): PAGE,
    ("GET", "/images/{image_id}/heat"): PAGE,
    ("GET", "/images/{image_id}/thumb"): PAGE,
    ("GET", "/batches"): PAGE,
    ("POST", "/batches"): PAGE,
    ("GET", "/batches/{job_id}"): PAGE,
    ("POST", "/batches/{job_id}/cancel"): PAGE,
    ("GET", "/samples/{number}"): PAGE,
    ("POST", "/samples/{number}"): PAGE,
    ("GET", "/model"): PAGE,
    ("GET", "/settings"): PAGE,
    ("POST", "/settings/{name}"): ADMINISTER,
    ("GET", "/history"): REVIEW,
    ("GET", "/history/readings.csv"): REVIEW,
    ("GET", "/history/cases.csv"): REVIEW,
    ("GET", "/history/trail.jsonl"): ADMINISTER,
    ("POST", "/history/verify"): ADMINISTER,
    ("GET", "/silent"): REVIEW,
}

ByEndpoint = Mapping[tuple[str, Callable[..., Any]], Rule]


def matched(app: FastAPI, rules: Mapping[Place, Rule] = RULES) -> ByEndpoint:
    """The rules of an application, by method and endpoint.

    Raises ValueError for a route without a rule, a rule without a route, and a rule that nothing would ask for: that of
    a route of Starlette's, which knows no dependencies, or of an endpoint that has another rule elsewhere.
    """
    made: dict[tuple[str, Callable[..., Any]], Rule] = {}
    missing, left = [], dict(rules)
    for (method, path), endpoint, asks in routes_of(app):
        rule = left.pop((method, path), None)
        if rule is None:
            missing.append(f"{method} {path}")
        elif rule.role is not None and not asks:
            raise ValueError(f"{method} {path} knows no dependencies, so its rule is asked by nothing")
        elif made.setdefault((method, endpoint), rule) != rule:
            raise ValueError(f"{method} {path}: its endpoint has another rule at another address")
    if missing or left:
        stray = ", ".join(f"{method} {path}" for method, path in left)
        raise ValueError(
            f"routes without a rule: {', '.join(missing) or 'none'}; rules without a route: {stray or 'none'}"
        )
    return made


def routes_of(app: FastAPI) -> list[tuple[Place, Callable[..., Any], bool]]:
    """Every method and address with its endpoint, and whether dependencies are asked before it; files are left out."""
    found: list[tuple[Place, Callable[..., Any], bool]] = []
    for route in iter_route_contexts(app.routes):
        if route.endpoint is None:  # files of the package, for anyone
            continue
        asks = isinstance(route.original_route, APIRoute)
        for method in sorted(set(route.methods or ()) - {"HEAD"}):
            found.append(((method, route.path_format or route.path or ""), route.endpoint, asks))
    return found
