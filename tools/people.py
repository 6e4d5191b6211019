"""Users of a service for as long as a test or a tool needs them, made as the service makes them.

No password is hashed unless one is asked for: a login is begun, a key is made.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dermoscope.serve import accounts, keys, logins, passwords
from dermoscope.serve.desk import Service

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.testclient import TestClient

PASSWORD = "blue lamp under seven trees"
"""The password of every user who is given one."""
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
"""What a browser sends with a request of the service's own page."""


@dataclass(frozen=True, eq=False)
class People:
    """Makes users of `service`; whoever is named is made where there is none of that name, and has that role then.

    `app` is needed for `client` alone, which calls it in this process at `url`.
    """

    service: Service
    app: "FastAPI | None" = None
    url: str = "http://127.0.0.1"

    def user(self, role: str, name: str = "", *, password: str = "") -> int:
        """The number of a user with that role, called `name` or like the role."""
        made = passwords.hashed(password) if password else None
        with self.service.store.begin() as session:
            user = accounts.user_named(session, name or role) or accounts.create_user(
                session, name or role, role, accounts.TERMINAL
            )
            user.role, user.password = role, made or user.password
            return user.id

    def token(self, role: str, name: str = "") -> str:
        """The cookie of a new login."""
        number = self.user(role, name)
        with self.service.store.begin() as session:
            return logins.begin_login(session, accounts.user_of(session, number), "password").token

    def key(self, role: str, *scopes: str, name: str = "") -> dict[str, str]:
        """The header with a new key that has these scopes, or all that the role can have."""
        number = self.user(role, name)
        chosen = scopes or [scope for scope in accounts.SCOPES if scope != "admin" or role == "admin"]
        with self.service.store.begin() as session:
            token, _ = keys.make_key(session, accounts.user_of(session, number), "made here", chosen, accounts.TERMINAL)
        return {"Authorization": f"Bearer {token}"}

    def client(self, role: str = "", name: str = "", *, language: str = "en") -> "TestClient":
        """A browser in which such a user has entered, or in which nobody has."""
        from starlette.testclient import TestClient

        assert self.app is not None
        calling = TestClient(self.app, base_url=self.url, headers=SAME_ORIGIN)
        calling.cookies.set("language", language)
        if role:
            cookie = logins.COOKIES[self.url.startswith("https:")]
            calling.cookies.set(cookie, self.token(role, name))
        return calling
