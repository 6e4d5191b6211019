"""What is believed of a provider's answers, and what is not. The provider is real; what it would never say is signed
with its own key."""

import base64
import json
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from live import apart

from dermoscope.core.errors import InputError
from dermoscope.serve.oidc import Identity, Journey, NotLetInError, Provider, role_of, turn_of
from dermoscope.serve.options import Options

if TYPE_CHECKING:
    from conftest import Running

TURN = "http://127.0.0.1:9000/enter/oidc/back"
KEY = b"k" * 32


def options(provider: "Running", **others: Any) -> Options:
    return Options(**{**provider.settings(), **others})


def question(address: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(address).query))


def why(call: Any) -> str:
    with pytest.raises(NotLetInError) as caught:
        apart(call)
    return caught.value.why


def set_out(provider: "Running", **others: Any) -> tuple[Provider, str, Journey]:
    asked = Provider(options(provider, **others))
    address, journey = apart(asked.set_out(TURN, "/cases/1"))
    return asked, address, journey


def test_who_enters_at_the_provider_comes_back_with_name_and_groups(provider: "Running") -> None:
    asked, address, journey = set_out(provider)
    sent = question(address)
    assert sent["code_challenge_method"] == "S256"
    assert sent["code_challenge"] != journey.verifier
    assert len({sent["state"], sent["nonce"], journey.verifier}) == 3
    with httpx.Client() as browser:
        came = question(provider.lead(browser, address, "anna"))
    found = apart(asked.arrive(journey, came))
    assert found == Identity(provider.issuer, "1", "anna", ("clinic-readers", "clinic-staff"))
    assert why(asked.arrive(journey, came)) == "refused"  # a code is good once


def test_an_answer_that_fits_another_journey_is_not_taken(provider: "Running") -> None:
    asked, address, journey = set_out(provider)
    with httpx.Client() as browser:
        came = question(provider.lead(browser, address, "anna"))
    other = apart(asked.set_out(TURN, "/"))[1]
    assert why(asked.arrive(other, came)) == "state"
    assert why(asked.arrive(journey, {"code": came["code"]})) == "state"
    assert why(asked.arrive(journey, {"state": journey.state, "error": "access_denied"})) == "refused"
    # a stolen code without the verifier that its challenge was made of (PKCE), and one for another page
    assert why(asked.arrive(replace(journey, verifier=other.verifier), came)) == "refused"


def test_a_nonce_that_was_exchanged_on_the_way_is_noticed(provider: "Running") -> None:
    asked, address, journey = set_out(provider)
    with httpx.Client() as browser:
        came = question(provider.lead(browser, address.replace(journey.nonce, "another"), "anna"))
    assert why(asked.arrive(journey, came)) == "refused"


def test_a_code_that_another_program_was_given_is_not_taken(provider: "Running") -> None:
    asked, address, journey = set_out(provider)
    with httpx.Client() as browser:
        elsewhere = address.replace("client_id=dermoscope", "client_id=another-program")
        came = question(provider.lead(browser, elsewhere, "anna"))
    assert why(asked.arrive(journey, came)) == "refused"


@pytest.fixture(scope="module")
def app(provider: "Running") -> Any:
    """Authlib's client with the provider's description of itself and its keys."""

    async def made() -> Any:
        found = await Provider(options(provider))._app()
        await found.fetch_jwk_set()
        return found

    return apart(made())


def of_token(provider: "Running", app: Any, token: str) -> Any:
    """What the service makes of an ID token of nonce `n`."""
    asked = Provider(options(provider))

    async def identity() -> Identity:
        async with asked._asking():
            return await asked.identity(app, {"id_token": token, "access_token": "a"}, "n")

    return identity()


def test_a_token_that_is_right_is_believed(provider: "Running", app: Any) -> None:
    token = provider.signed({**provider.claims("n"), "groups": "clinic-readers"})
    assert apart(of_token(provider, app, token)).groups == ("clinic-readers",)


@pytest.mark.parametrize(
    "others",
    [
        {"aud": "another-program"},
        {"aud": "another-program", "azp": "dermoscope"},
        {"aud": ["dermoscope", "another-program"]},
        {"aud": ["dermoscope"], "azp": "another-program"},
        {"iss": "https://another.example"},
        {"nonce": "m"},
        {"nonce": None},
        {"exp": int(time.time()) - 120},
        {"exp": None},
        {"iat": int(time.time()) + 3600},
        {"nbf": int(time.time()) + 3600},
        {"sub": ""},
        {"sub": 1},
        {"sub": "x" * 256},
        {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
    ],
    ids=", ".join,
)
def test_a_token_that_says_another_thing_is_not_believed(
    provider: "Running", app: Any, others: Mapping[str, Any]
) -> None:
    claims = {key: value for key, value in {**provider.claims("n"), **others}.items() if value is not None}
    assert why(of_token(provider, app, provider.signed(claims))) == "refused"


def test_a_token_of_another_key_is_not_believed(provider: "Running", app: Any) -> None:
    from joserfc.jwk import RSAKey

    other = RSAKey.generate_key(2048)
    token = provider.signed(provider.claims("n"), key=other)
    assert why(of_token(provider, app, token)) == "refused"
    assert why(of_token(provider, app, provider.signed(provider.claims("n"), key=other, kid="other"))) == "refused"
    assert (
        why(of_token(provider, app, provider.signed(provider.claims("n"), key=other, jwk=other.as_dict()))) == "refused"
    )


def hmac_of_the_public_key(provider: "Running") -> str:
    from joserfc.jwk import OctKey, RSAKey

    public = RSAKey.import_key((provider.folder / "key.pem").read_text()).as_pem(private=False)
    return provider.signed(provider.claims("n"), key=OctKey.import_key(base64.b64encode(public)), alg="HS256")


def hmac_of_the_secret(provider: "Running") -> str:
    from joserfc.jwk import OctKey

    return provider.signed(provider.claims("n"), key=OctKey.import_key(b"a secret of the client's"), alg="HS256")


def unsigned(provider: "Running") -> str:
    parts = ({"alg": "none"}, provider.claims("n"))
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


@pytest.mark.parametrize("forged", [hmac_of_the_public_key, hmac_of_the_secret, unsigned, lambda _: "a.b.c"])
def test_only_signatures_that_nobody_else_can_make_count(
    provider: "Running", app: Any, forged: Callable[["Running"], str]
) -> None:
    assert why(of_token(provider, app, forged(provider))) == "refused"


def test_a_provider_that_is_down_is_told_from_one_that_calls_itself_another_name(provider: "Running") -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        assert why(Provider(options(provider, oidc_issuer=away)).set_out(TURN, "/")) == "down"
    renamed = provider.issuer.replace("127.0.0.1", "localhost")
    assert why(Provider(options(provider, oidc_issuer=renamed)).set_out(TURN, "/")) == "setup"


def test_a_provider_that_takes_long_is_down(provider: "Running", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dermoscope.serve.oidc._STEP", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        away = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert why(Provider(options(provider, oidc_issuer=away)).set_out(TURN, "/")) == "down"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"oidc_issuer": "http://login.example"}, "not reached by HTTPS"),
        ({"oidc_issuer": "ftp://login.example"}, "not reached by HTTPS"),
        ({"oidc_issuer": "https://"}, "not reached by HTTPS"),
        ({"oidc_issuer": "http://127.0.0.1.evil.example"}, "not reached by HTTPS"),
        ({"oidc_client": ""}, "oidc_client: "),
        ({"oidc_roles": ()}, "nobody would get a role"),
        ({"oidc_roles": (("x", "owner"),)}, "no role 'owner'"),
    ],
)
def test_a_start_that_names_no_provider_to_trust_is_refused(wrong: Mapping[str, Any], told: str) -> None:
    good = {"oidc_issuer": "https://login.example", "oidc_client": "d", "oidc_roles": (("x", "reader"),)}
    assert Provider.of(Options(**good)) is not None
    assert Provider.of(Options(**good, no_login=True)) is None
    assert Provider.of(Options()) is None
    with pytest.raises(InputError, match=told):
        Provider.of(Options(**{**good, **wrong}))


def test_the_role_is_that_of_the_last_value_that_fits() -> None:
    given = Options(oidc_roles=(("all", "reader"), ("heads", "admin")))
    who = Identity("https://login.example", "1", "anna", ("heads", "all"))
    assert role_of(given, who) == "admin"
    assert role_of(given, replace(who, groups=("all",))) == "reader"
    with pytest.raises(NotLetInError, match="no value of 'groups' gives a role"):
        role_of(given, replace(who, groups=("heads ",)))


def test_browsers_are_led_back_to_the_address_that_readers_call() -> None:
    assert turn_of(Options(), "http://127.0.0.1:8000/") == "http://127.0.0.1:8000/enter/oidc/back"
    public = Options(host="0.0.0.0", public_url="https://skin.example")
    assert turn_of(public, "http://evil.example/") == "https://skin.example/enter/oidc/back"
    with pytest.raises(NotLetInError, match="public_url"):
        turn_of(Options(host="0.0.0.0"), "http://evil.example/")


def test_a_journey_travels_sealed_and_ends() -> None:
    journey = Journey("s", "n", "a verifier", TURN, "/cases/1", time.time() + 60)
    sealed = journey.sealed(KEY)
    assert Journey.opened(KEY, sealed) == journey
    assert b"verifier" not in base64.urlsafe_b64decode(sealed)
    over = replace(journey, until=time.time() - 1).sealed(KEY)
    for bad in (over, sealed[:-8] + "AAAAAAA=", "", "x", "ü", journey.sealed(b"l" * 32)):
        with pytest.raises(NotLetInError) as caught:
            Journey.opened(KEY, bad)
        assert caught.value.why == "state"
