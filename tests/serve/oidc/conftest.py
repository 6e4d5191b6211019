"""A real OpenID provider on loopback for as long as the tests of this folder run, and what a person does at it."""

import html
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

CLIENT, SECRET, PASSWORD = "dermoscope", "a secret of the client's", "correct horse battery staple"
ROLES = (("clinic-readers", "reader"), ("clinic-reviewers", "reviewer"), ("clinic-admins", "admin"))


@dataclass(frozen=True)
class Running:
    """A provider: its address, and the folder with the key that signs its ID tokens."""

    issuer: str
    folder: Path

    def settings(self) -> dict[str, Any]:
        """What an operator tells the service of this provider."""
        return {"oidc_issuer": self.issuer, "oidc_client": CLIENT, "oidc_secret": SECRET, "oidc_roles": ROLES}

    def lead(self, browser: httpx.Client, address: str, name: str) -> str:
        """Follow an address through the provider's login; where that leads its visitor back to."""
        answer = browser.get(address, follow_redirects=False)
        while True:
            if answer.is_redirect:
                onward = urljoin(str(answer.url), answer.headers["location"])
                if "/enter/oidc/back" in onward.partition("?")[0]:
                    return onward
                answer = browser.get(onward, follow_redirects=False)
                continue
            assert "<form" in answer.text, (answer.status_code, answer.text[:300])
            fields = dict(re.findall(r"""name=["'](csrfmiddlewaretoken|next)["'] value=["']([^"']*)""", answer.text))
            sent = {key: html.unescape(value) for key, value in fields.items()}
            sent |= {"username": name, "password": PASSWORD}
            answer = browser.post(str(answer.url), data=sent, follow_redirects=False)

    def signed(self, claims: Mapping[str, Any], key: Any = None, **header: Any) -> str:
        """An ID token as this provider would sign it (or another `key`), whatever it says."""
        from joserfc import jwt
        from joserfc.jwk import RSAKey

        own = RSAKey.import_key((self.folder / "key.pem").read_text())
        given = {"alg": "RS256", "kid": own.thumbprint(), **header}
        return jwt.encode(given, dict(claims), key or own, algorithms=[given["alg"]])

    def claims(self, nonce: str, **others: Any) -> dict[str, Any]:
        """What the provider says of anna, except for `others`."""
        at = int(time.time())
        said = {"iss": self.issuer, "sub": "1", "aud": CLIENT, "exp": at + 300, "iat": at, "nonce": nonce}
        return {**said, "preferred_username": "anna", "groups": ["clinic-readers"], **others}


@contextmanager
def running(folder: Path) -> Iterator[Running]:
    """A provider of its own in a process of its own."""
    command = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("provider.py")), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        try:
            yield Running(f"http://127.0.0.1:{port}", folder)
        finally:
            process.communicate("", timeout=20)


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    pytest.importorskip("oauth2_provider", reason="django-oauth-toolkit is not installed: no provider to enter by")
    with running(tmp_path_factory.mktemp("provider")) as started:
        yield started
