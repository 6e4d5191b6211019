"""Settings: which place counts, what is refused and how it is told, and that no secret is ever said."""

import base64
import json
import os
import re
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("pydantic_settings", reason="the service is not installed: pip install 'dermoscope[serve]'")

from dermoscope.core.errors import InputError
from dermoscope.serve.configure import configure, options_for
from dermoscope.serve.options import Options
from dermoscope.serve.refusals import refusals, require_safe
from dermoscope.serve.settings import SECRETS, Settings, variable

ROOT = Path(__file__).parents[2]
KEY = base64.b64encode(bytes(range(32))).decode()
SECRET = "s3cr3t-never-said"


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [n for n in os.environ if n.startswith("DERMOSCOPE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DERMOSCOPE_HOME", str(tmp_path / "home"))


def file(path: Path, text: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def refused(*arguments: object, **flags: object) -> str:
    with pytest.raises(InputError) as error:
        configure(flags, *arguments)  # type: ignore[arg-type]
    return str(error.value)


def test_every_option_is_a_setting_with_the_same_default(tmp_path: Path) -> None:
    assert {one.name for one in fields(Options)} == set(Settings.model_fields)
    assert configure().options == Options(folder=tmp_path / "home" / "service")
    assert all(field.title and field.description for field in Settings.model_fields.values())


def test_a_flag_counts_before_the_environment_before_the_file_before_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file(tmp_path / "home/service/dermoscope.toml", "# places\nport = 1\nthreads = 1\nworkers = 1\n")
    monkeypatch.setenv("DERMOSCOPE_SERVE_PORT", "2")
    monkeypatch.setenv("DERMOSCOPE_SERVE_THREADS", "2")
    found = configure({"port": 3, "threads": None})
    options = found.options
    assert (options.port, options.threads, options.workers, options.host) == (3, 2, 1, "127.0.0.1")
    places = [found.where(name) for name in ("port", "threads", "workers", "host")]
    assert places == ["flag --port", "variable DERMOSCOPE_SERVE_THREADS", f"{path}, line 4", "default"]


def test_the_file_is_the_one_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file(tmp_path / "kept/dermoscope.toml", "port = 1")
    other = file(tmp_path / "other.toml", f'port = 2\nfolder = "{tmp_path}"')
    assert configure({"folder": tmp_path / "kept"}).options.port == 1
    assert configure({}, other).options.folder == tmp_path
    monkeypatch.setenv("DERMOSCOPE_SERVE_CONFIG", str(other))
    assert configure().options.port == 2
    assert refused(tmp_path / "none.toml").startswith(f"{tmp_path / 'none.toml'}: cannot be read as TOML (No such file")
    assert "at line 1" in refused(file(tmp_path / "bad.toml", "port = x\n"))


def test_lists_and_roles_are_said_in_a_line_or_in_toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file(
        tmp_path / "x.toml",
        'trusted_proxies = ["10.0.0.1", "10.1.0.0/16"]\n[oidc_roles]\n"derma=all" = "reader"\nheads = "admin"\n',
    )
    wanted = (("10.0.0.1", "10.1.0.0/16"), (("derma=all", "reader"), ("heads", "admin")))
    options = configure({}, path).options
    assert (options.trusted_proxies, options.oidc_roles) == wanted
    monkeypatch.setenv("DERMOSCOPE_SERVE_TRUSTED_PROXIES", "10.0.0.1, 10.1.0.0/16")
    monkeypatch.setenv("DERMOSCOPE_SERVE_OIDC_ROLES", "derma=all=reader,heads=admin")
    options = configure().options
    assert (options.trusted_proxies, options.oidc_roles) == wanted


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_from_a_file_of_its_own(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    value = {"key": KEY, "database": f"postgresql://u:{SECRET}@h/d", "oidc_secret": SECRET}[name]
    path = file(tmp_path / "secret", f"{value}\n")
    monkeypatch.setenv(f"{variable(name)}_FILE", str(path))
    found = configure()
    held = getattr(found.options, name)
    assert held == (bytes(range(32)) if name == "key" else value)
    assert found.where(name) == f"variable {variable(name)}_FILE"
    assert getattr(configure({}, file(tmp_path / "x.toml", f'{name}_file = "secret"')).options, name) == held
    for said in (repr(found), repr(found.options), json.dumps(found.shown()), str(found)):
        assert SECRET not in said
        assert KEY not in said
    path.chmod(0o604)
    assert refused().endswith(f"everybody on this machine may read {path}, and it holds a secret: chmod o-r {path}")
    path.chmod(0o440)
    monkeypatch.setenv(variable(name), value)
    assert refused() == f"variables {variable(name)} and {variable(name)}_FILE are both given; take one of them away"


def test_a_secret_stands_in_no_file_of_settings_that_others_read(tmp_path: Path) -> None:
    path = file(tmp_path / "x.toml", f'host = "::1"\noidc_secret = "{SECRET}"', 0o644)
    said = refused(path)
    assert said.startswith(f"{path}, line 2: everybody on this machine may read {path}")
    assert SECRET not in said
    file(path, 'database = "postgresql://u@h/d"', 0o644)
    assert configure({}, path).options.database


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DERMOSCOPE_SERVE_PORT", "70000", "'70000' is not taken; give 1 to 65535, or 0 for a free one"),
        ("DERMOSCOPE_SERVE_WORKERS", "many", "'many' is not taken; give 1 to 64"),
        ("DERMOSCOPE_SERVE_LOG_FORMAT", "xml", "'xml' is not taken; give auto, json or text"),
        ("DERMOSCOPE_SERVE_PUBLIC_URL", "ftp://x", "'ftp://x' is not taken; give https://NAME or https://NAME:PORT"),
        ("DERMOSCOPE_SERVE_PUBLIC_URL", "https://x/y", "give https://NAME or https://NAME:PORT"),
        ("DERMOSCOPE_SERVE_TRUSTED_PROXIES", "*", "give addresses or networks like 10.0.0.5, 10.1.0.0/16"),
        ("DERMOSCOPE_SERVE_OIDC_ROLES", "a=chief", "give VALUE=reader, VALUE=reviewer, VALUE=admin"),
        ("DERMOSCOPE_DATABASE", f"mysql://u:{SECRET}@h", "(hidden) is not taken; give sqlite:///FILE or postgresql://"),
        ("DERMOSCOPE_KEY", SECRET, "DERMOSCOPE_KEY is no base64"),
        ("DERMOSCOPE_SERVE_PROT", "1", "there is no such setting; did you mean DERMOSCOPE_SERVE_PORT?"),
        ("DERMOSCOPE_KEY_FILE", "/none", "/none cannot be read (No such file or directory); name the file"),
    ],
)
def test_a_value_that_cannot_be_is_told_with_its_place(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    told = refused()
    assert told.startswith(f"variable {name}: ")
    assert said in told
    assert SECRET not in told


def test_an_unknown_name_in_the_file_is_told_with_its_line_and_the_nearest(tmp_path: Path) -> None:
    path = file(tmp_path / "x.toml", 'host = "::1"\n\nretention = 3\n')
    assert refused(path) == f"{path}, line 3: there is no setting 'retention'; did you mean retention_days?"
    file(path, "zzz = 3\n")
    assert refused(path) == f"{path}, line 1: there is no setting 'zzz'; docs/reference/environment.md lists them"


def test_several_mistakes_are_told_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DERMOSCOPE_SERVE_THREADS", "-1")
    assert len(refused(port=99999).splitlines()) == 2


def test_commands_beside_the_service_find_the_same_folder_and_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DERMOSCOPE_SERVE_FOLDER", str(tmp_path))
    monkeypatch.setenv("DERMOSCOPE_DATABASE", "postgresql://u@h/d")
    found = options_for()
    assert (found.folder, found.database) == (tmp_path, "postgresql://u@h/d")
    assert options_for(tmp_path / "x").folder == tmp_path / "x"


SAFE = {"host": "10.0.0.7", "public_url": "https://derma.example"}
PROVIDER = {"oidc_issuer": "https://idp.example", "oidc_client": "c"}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (
            {"no_login": True, "host": "0.0.0.0"},
            "flag --no-login: without login everybody who reaches 0.0.0.0",
        ),
        (
            {"no_login": True, "public_url": "https://derma.example"},
            "without login everybody who reaches https://derma",
        ),
        ({"host": "0.0.0.0"}, "flag --host: nothing says that 0.0.0.0 is behind HTTPS"),
        ({**SAFE, "public_url": "http://derma.example"}, "passwords and pictures would be read on the way"),
        ({"public_url": "http://derma.example"}, "passwords and pictures would be read on the way"),
        (
            {**PROVIDER, "host": "0.0.0.0", "plain_http": True},
            "sends readers back to where HTTPS has to be",
        ),
        ({**PROVIDER, "oidc_issuer": "http://idp.example"}, "could be forged on the way; give one with https://"),
        ({"oidc_issuer": "https://idp.example"}, "the provider knows this service by an id; give oidc_client"),
        ({"oidc_client": "c"}, "a client without its provider lets nobody in"),
        ({"local_users": False}, "nobody can enter; give oidc_issuer"),
        ({"workers": 2}, "flag --workers: 2 processes cannot share SQLite; give a PostgreSQL database, or workers = 1"),
        ({"database": f"postgresql://u:{SECRET}@h/d"}, "sees the password in the list of processes"),
        ({"database": f"postgresql://h/d?password={SECRET}"}, "sees the password in the list of processes"),
        ({**SAFE, "metrics_open": True}, "everybody who reaches the service could read /metrics"),
        ({"metrics_open": True, "public_url": "https://derma.example"}, "could read /metrics"),
        ({"trusted_proxies": "0.0.0.0/0"}, "0.0.0.0/0 is everybody"),
    ],
)
def test_what_is_not_safe_together_is_refused(flags: dict[str, object], said: str) -> None:
    (found,) = refusals(configure(flags))
    assert said in found
    assert SECRET not in found
    with pytest.raises(InputError, match=re.escape(said)):
        require_safe(configure(flags))


@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"no_login": True},
        {"no_login": True, "host": "::1", "metrics_open": True},
        SAFE,
        {**SAFE, **PROVIDER, "local_users": False},
        {**PROVIDER, "oidc_issuer": "http://127.0.0.1:8080"},
        {"host": "0.0.0.0", "plain_http": True},
        {"public_url": "http://localhost:8080"},
        {"database": "postgresql://u@h/d", "workers": 4},
    ],
)
def test_what_is_safe_may_start(flags: dict[str, object]) -> None:
    assert refusals(configure(flags)) == ()


def test_the_folder_is_closed_to_others(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    kept.chmod(0o775)
    require_safe(configure({"folder": kept}))
    assert kept.stat().st_mode & 0o777 == 0o770
    kept.chmod(0o775)
    (kept / "letters").write_text("")
    with pytest.raises(InputError, match="it holds more than the service's files; give a --folder below it"):
        require_safe(configure({"folder": kept}))
    assert kept.stat().st_mode & 0o777 == 0o775
    (kept / "cookie.key").write_text("")
    require_safe(configure({"folder": kept}))
    assert kept.stat().st_mode & 0o777 == 0o770


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30))
@settings(max_examples=100, deadline=None)
def test_no_value_of_a_flag_is_more_than_a_sentence(text: str) -> None:
    for name in ("port", "public_url", "trusted_proxies", "oidc_roles", "log_format"):
        try:
            said = ""
            configure({name: text})
        except InputError as error:
            said = str(error)
        assert not said or said.startswith(f"flag --{name.replace('_', '-')}: ")


def test_every_setting_stands_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "environment.md").read_text()
    named = set(re.findall(r"`(DERMOSCOPE_[A-Z_]+)`", page))
    wanted = {variable(name) for name in Settings.model_fields} | {f"{variable(name)}_FILE" for name in SECRETS}
    assert wanted <= named
    known = wanted | {"DERMOSCOPE_SERVE_", "DERMOSCOPE_SERVE_CONFIG"}
    assert {name for name in named if name.startswith("DERMOSCOPE_SERVE_")} <= known
