"""A real OpenID provider as a process: django-oauth-toolkit, its users and its client in an SQLite file of their own.

    python provider.py FOLDER     prints {"port": ...} once it answers, and ends when its standard input does

`FOLDER/key.pem` signs its ID tokens: a test that holds it can say what this provider would never say.
"""

import json
import os
import socket
import sys
import threading
from pathlib import Path

FOLDER = Path(sys.argv[1])
CLIENT, SECRET, PASSWORD = "dermoscope", "a secret of the client's", "correct horse battery staple"
BACK = "http://127.0.0.1/enter/oidc/back"
"""Any port of loopback is as good (RFC 8252, 7.3)."""
PEOPLE = {
    "anna": ("clinic-readers", "clinic-staff"),
    "boris": ("clinic-reviewers",),
    "clara": ("clinic-readers", "clinic-admins"),
    "dora": ("cafeteria",),
    "egon": (),
}
"""Everybody's groups."""
FORM = "<form method='post'>{% csrf_token %}{{ form }}<input type='hidden' name='next' value='{{ next }}'><button>"


def configure(port: int) -> None:
    import django
    from django.conf import settings

    settings.configure(
        SECRET_KEY="only on loopback",
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF=__name__,
        USE_TZ=True,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "provider.sqlite"}},
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        SESSION_COOKIE_NAME="provider",
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "oauth2_provider",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {
                    "loaders": [("django.template.loaders.locmem.Loader", {"registration/login.html": FORM + "Enter"})]
                },
            }
        ],
        LOGIN_URL="/login/",
        OAUTH2_PROVIDER={
            "OIDC_ENABLED": True,
            "OIDC_ISS_ENDPOINT": f"http://127.0.0.1:{port}",
            "OIDC_RSA_PRIVATE_KEY": (FOLDER / "key.pem").read_text(),
            "OIDC_RP_INITIATED_LOGOUT_ENABLED": True,
            "SCOPES": {"openid": "who you are", "profile": "your name and groups"},
            "OAUTH2_VALIDATOR_CLASS": f"{__name__}.Validator",
            "PKCE_REQUIRED": True,
        },
    )
    django.setup()


def fill() -> None:
    from django.contrib.auth.models import Group, User
    from django.core.management import call_command
    from oauth2_provider.models import Application

    call_command("migrate", verbosity=0)
    for name, groups in PEOPLE.items():
        user = User.objects.create_user(name, password=PASSWORD)
        user.groups.set([Group.objects.get_or_create(name=group)[0] for group in groups])
    for client in (CLIENT, "another-program"):
        Application.objects.create(
            client_id=client,
            client_secret=SECRET,
            client_type=Application.CLIENT_CONFIDENTIAL,
            authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
            algorithm=Application.RS256_ALGORITHM,
            redirect_uris=BACK,
            skip_authorization=True,
        )


def make_key() -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (FOLDER / "key.pem").write_bytes(pem)


def __getattr__(name: str) -> object:
    """What Django looks for in this module once it is set up: addresses, and who is who."""
    if name == "urlpatterns":
        from django.contrib.auth.views import LoginView
        from django.urls import include, path

        return [path("login/", LoginView.as_view()), path("", include("oauth2_provider.urls"))]
    if name == "Validator":
        from oauth2_provider.oauth2_validators import OAuth2Validator

        class Validator(OAuth2Validator):
            oidc_claim_scope = None  # type: ignore[assignment]

            def get_additional_claims(self, request):  # type: ignore[no-untyped-def]
                groups = sorted(group.name for group in request.user.groups.all())
                return {"preferred_username": request.user.username, "groups": groups}

        return Validator
    raise AttributeError(name)


def main() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        make_key()
        configure(port)
        fill()
        from django.core.asgi import get_asgi_application
        from uvicorn import Config, Server

        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
        print(json.dumps({"port": port}), flush=True)
        server = Server(Config(get_asgi_application(), log_level="warning", lifespan="off", ws="none"))
        server.run(sockets=[listening])


if __name__ == "__main__":
    main()
