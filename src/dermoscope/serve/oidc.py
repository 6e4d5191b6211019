"""OpenID Connect: whoever the operator's provider knows, under the role that a claim of it gives.

Authorisation code flow (OpenID Connect Core 1.0, 3.1) with PKCE (RFC 7636, S256), state and nonce, by Authlib. What has
to come back unchanged travels in a sealed cookie of the browser that set out; nobody else's answer fits it. The
provider's address is the operator's: no request names another.
"""

import asyncio
import base64
import ipaddress
import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from dermoscope.core.errors import DermoscopeError, InputError
from dermoscope.serve.accounts import ROLES
from dermoscope.serve.options import Options
from dermoscope.serve.vault import Vault

TURN = "/enter/oidc/back"
"""Where the provider leads a browser back to; it stands in the client's registration there."""
MINUTES = 10
"""How long somebody may take at the provider."""
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures that only the provider can make: none by a shared secret, and not `none`."""
_COOKIE = "oidc journey"
_STEP = 5.0
"""Seconds that one step of a request to the provider may take."""
_WHOLE = 15.0
"""Seconds that all of it may take."""
_LEEWAY = 60
"""Seconds by which its clock may differ."""
_AT_ONCE = 16

Why = Literal["down", "setup", "state", "refused", "role", "last", "name", "taken", "disabled"]
WHYS: Mapping[Why, int] = {
    "down": 503,
    "setup": 503,
    "state": 400,
    "refused": 403,
    "role": 403,
    "last": 403,
    "name": 403,
    "taken": 403,
    "disabled": 403,
}
"""Why somebody is not let in, and the status of the page that says so."""


class NotLetInError(DermoscopeError):
    """Somebody is not let in; `why` is the sentence of the catalogue, `detail` is for the log."""

    def __init__(self, why: Why, detail: str, who: "Identity | None" = None) -> None:
        super().__init__(detail)
        self.why, self.who = why, who


@dataclass(frozen=True)
class Journey:
    """What a browser takes to the provider and back: `back` is the page that it came from, `until` in UTC seconds."""

    state: str
    nonce: str
    verifier: str
    turn: str
    back: str
    until: float

    def sealed(self, key: bytes) -> str:
        """The content of a cookie that only the holder of the key can read or make."""
        return base64.urlsafe_b64encode(Vault(key).wrap(json.dumps(asdict(self)).encode(), _COOKIE)).decode()

    @classmethod
    def opened(cls, key: bytes, cookie: str) -> "Journey":
        """The journey of a cookie. Raises NotLetInError for one that is not there, was not made here, or is over."""
        try:
            found = cls(**json.loads(Vault(key).unwrap(base64.urlsafe_b64decode(cookie), _COOKIE)))
        except (DermoscopeError, ValueError):
            raise NotLetInError("state", "the browser that came back is not the one that set out") from None
        if found.until < time.time():
            raise NotLetInError("state", f"it took longer than {MINUTES} minutes")
        return found


@dataclass(frozen=True)
class Identity:
    """Whom the provider let in: `subject` is that person for ever, `name` and `groups` may change.

    `groups` are the values of the claim that roles are read from.
    """

    issuer: str
    subject: str
    name: str
    groups: tuple[str, ...]


def role_of(options: Options, identity: Identity) -> str:
    """The role that the claim gives: of the pairs that fit, the last. Raises NotLetInError where none fits."""
    found = [role for value, role in options.oidc_roles if value in identity.groups]
    if not found:
        raise NotLetInError("role", f"no value of {options.oidc_claim!r} gives a role here", identity)
    return found[-1]


def turn_of(options: Options, called: str) -> str:
    """The address that a provider leads back to; `called` is what a browser of this machine called.

    Raises NotLetInError where others reach the service and nobody said under which address: a request may say any.
    """
    if not options.public_url and not options.on_loopback:
        raise NotLetInError("setup", "the provider leads browsers back: say the address that readers call (public_url)")
    return (options.public_url or called).rstrip("/") + TURN


class Provider:
    """The operator's provider. It is asked anew each time: its keys change, and one that is down is noticed at once."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._places = asyncio.Semaphore(_AT_ONCE)

    @classmethod
    def of(cls, options: Options) -> "Provider | None":
        """The provider that a start names; None where it names none, or where nobody enters at all.

        Raises InputError for one that is not reached by HTTPS, for no client, and where no claim gives a role.
        """
        if not options.oidc_issuer or options.no_login:
            return None
        if not _safe(options.oidc_issuer):
            raise InputError(
                f"oidc_issuer: {options.oidc_issuer!r} is not reached by HTTPS; give the address by which the provider "
                "calls itself (http:// on this machine alone)"
            )
        if not options.oidc_client:
            raise InputError("oidc_client: the provider knows this service by an id; register it there and give the id")
        stray = [role for _, role in options.oidc_roles if role not in ROLES]
        if stray or not options.oidc_roles:
            told = f"there is no role {stray[0]!r}" if stray else "nobody would get a role"
            raise InputError(
                f"oidc_roles: {told}; map values of the claim {options.oidc_claim!r} to {', '.join(ROLES)}"
            )
        return cls(options)

    async def set_out(self, turn: str, back: str, *, again: bool = False) -> tuple[str, Journey]:
        """The provider's address to send a browser to, and what that takes along.

        `again`: the provider asks who it is, also where it knows already. Raises NotLetInError.
        """
        prompt = {"prompt": "login"} if again else {}
        async with self._asking():
            made = await (await self._app()).create_authorization_url(turn, **prompt)
        until = time.time() + 60 * MINUTES
        return made["url"], Journey(made["state"], made["nonce"], made["code_verifier"], turn, back, until)

    async def arrive(self, journey: Journey, question: Mapping[str, str]) -> Identity:
        """Who came back with this question of an address. Raises NotLetInError."""
        if not secrets.compare_digest(question.get("state", "").encode(), journey.state.encode()):
            raise NotLetInError("state", "the answer belongs to another journey than this browser's last")
        if "code" not in question:
            raise NotLetInError("refused", "the provider let nobody in")
        async with self._asking():
            app = await self._app()
            token = await app.fetch_access_token(
                code=question["code"], code_verifier=journey.verifier, redirect_uri=journey.turn
            )
            return await self.identity(app, token, journey.nonce)

    async def identity(self, app: Any, token: Mapping[str, Any], nonce: str) -> Identity:
        """Whom an ID token names that this provider signed, for this client and this journey, and that is not over."""
        wanted = {
            "iss": {"essential": True, "value": app.server_metadata["issuer"]},
            "aud": {"essential": True, "value": self.options.oidc_client},
        }
        claims = await app.parse_id_token(token, nonce=nonce, claims_options=wanted, leeway=_LEEWAY)
        if claims is None:
            raise NotLetInError("refused", "the provider's answer holds no ID token")
        given, name, subject = claims.get(self.options.oidc_claim), claims.get(self.options.oidc_name), claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= 255:
            raise NotLetInError("refused", "the provider gave no subject of 1 to 255 signs")
        values = given if isinstance(given, list) else [given]
        groups = tuple(value for value in values if isinstance(value, str))
        return Identity(self.options.oidc_issuer.rstrip("/"), subject, name if isinstance(name, str) else "", groups)

    async def _app(self) -> Any:
        """Authlib's client of the provider, as that describes itself now (OpenID Connect Discovery 1.0, 4)."""
        from authlib.integrations.starlette_client import OAuth

        app = OAuth().register(
            "site",
            client_id=self.options.oidc_client,
            client_secret=self.options.oidc_secret or None,
            server_metadata_url=self.options.oidc_issuer.rstrip("/") + "/.well-known/openid-configuration",
            client_kwargs={"scope": "openid profile", "code_challenge_method": "S256", "timeout": _STEP},
        )
        said = await app.load_server_metadata()
        if str(said.get("issuer")).rstrip("/") != self.options.oidc_issuer.rstrip("/"):
            raise NotLetInError("setup", f"the provider calls itself {said.get('issuer')!r}: name it so (oidc_issuer)")
        for end in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not _safe(str(said.get(end, ""))):
                raise NotLetInError("setup", f"the provider's {end} is not reached by HTTPS")
        offered = said.get("id_token_signing_alg_values_supported", ())
        said["id_token_signing_alg_values_supported"] = [one for one in _ALGORITHMS if one in offered] or ["RS256"]
        if "client_secret_basic" not in said.get("token_endpoint_auth_methods_supported", ("client_secret_basic",)):
            app.client_kwargs["token_endpoint_auth_method"] = "client_secret_post" if app.client_secret else "none"
        return app

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        """A conversation with the provider: one of a few at once, not too long, its failures told in our words."""
        import httpx2
        from authlib.integrations.starlette_client import OAuthError
        from joserfc.errors import JoseError

        try:
            async with asyncio.timeout(_WHOLE), self._places:
                yield
        except (httpx2.HTTPError, TimeoutError, OSError) as error:
            raise NotLetInError("down", f"the provider does not answer ({type(error).__name__})") from None
        except (OAuthError, JoseError) as error:  # by its code: descriptions may be of a person
            raise NotLetInError("refused", f"what the provider answered is not good ({_code(error)})") from None
        except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
            raise NotLetInError("setup", f"what the provider answered is not understood ({_code(error)})") from None


def _code(error: Exception) -> str:
    """What an error is called, with the claim that it speaks of."""
    parts = (getattr(error, "error", "") or type(error).__name__, getattr(error, "claim", ""))
    return " ".join(str(part)[:80] for part in parts if part)


def _safe(address: str) -> bool:
    """Whether an address is of HTTPS, or of this machine."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
        return (parts.scheme == "https" and bool(host)) or (parts.scheme == "http" and _here(host))
    except ValueError:
        return False


def _here(host: str) -> bool:
    return host == "localhost" or ipaddress.ip_address(host).is_loopback
