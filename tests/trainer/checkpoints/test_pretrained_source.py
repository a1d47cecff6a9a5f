"""Where weights are found, and their download from a server on this machine."""

import hashlib
from collections.abc import Iterator
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch

from pipeline.errors import DataError, MisuseError
from tests.helpers import tiny_trainer
from tests.helpers.tiny_trainer import TinyWeights
from trainer.checkpoints.pretrained_source import WeightsSource, download, find_source
from trainer.distributed.collectives import World
from trainer.fine_tuning import load_initial_weights
from trainer.model.sources.find import find_model


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The URL of a server of the files in tmp_path/served."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_imagenet_are_torchvisions_default_weights(cache: Path) -> None:
    source = find_source("imagenet", find_model("resnet50"))
    assert source.path == cache / "resnet50-11ad3fa6.pth"
    assert source.title == f"ResNet50_Weights.IMAGENET1K_V2 ({source.path})"
    assert "COCO" in find_source("imagenet", find_model("fcn_resnet50")).title
    with pytest.raises(MisuseError, match="no such weights for resnet8: give a file or a URL"):
        find_source("imagenet", find_model("resnet8"))


def test_a_file_of_torchvision_is_known_by_its_name(cache: Path) -> None:
    model = find_model("resnet18")
    weights = find_source("imagenet", model)
    by_file = find_source("downloads/resnet18-f37072fd.pth", model)
    assert by_file == WeightsSource(
        path=Path("downloads/resnet18-f37072fd.pth"), entry=weights.entry
    )
    assert find_source("http://mirror/resnet18-f37072fd.pth?x=1", model).entry == weights.entry
    assert find_source("other.pth", model) == WeightsSource(path=Path("other.pth"))
    with pytest.raises(MisuseError, match="does not end with a file name"):
        find_source("https://mirror/", model)


def test_a_url_is_downloaded_once_and_by_one_rank(server: str, cache: Path, tmp_path: Path) -> None:
    theirs, ours = (tiny_trainer.tiny(weights=None, num_classes=3) for _ in range(2))
    torch.save(theirs.state_dict(), tmp_path / "served" / "weights-face.pth")
    model, device = find_model("tiny"), torch.device("cpu")
    source = find_source(f"{server}/weights-face.pth", model)
    facts: dict[str, Any] = {"model": model, "head": (), "image_size_px": 24}
    with pytest.raises(DataError, match="No such file"):
        load_initial_weights(ours, source, World(device=device, local_rank=1), **facts)
    for _ in range(2):
        _, lines = load_initial_weights(ours, source, World(device=device), **facts)
        (tmp_path / "served" / "weights-face.pth").unlink(missing_ok=True)
    assert torch.equal(ours.state_dict()["0.weight"], theirs.state_dict()["0.weight"])
    assert lines[0] == f"Loaded weights from {source.path}."
    assert "does not say how images were normalized" in lines[1]


def test_without_a_network_the_message_names_file_and_folder(cache: Path) -> None:
    with pytest.raises(DataError) as failure:
        download(find_source("imagenet", find_model(tiny_trainer.MODEL)))
    assert f"cannot download {TinyWeights.TINY.url}" in failure.value.message
    assert f"put it into {cache} as tiny-0123abcd.pth" in failure.value.message
    assert list(cache.iterdir()) == []


def test_a_wrong_hash_leaves_no_file(server: str, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "served" / "tiny-0123abcd.pth").write_bytes(b"cut off")
    source = find_source(f"{server}/tiny-0123abcd.pth", find_model(tiny_trainer.MODEL))
    digest = hashlib.sha256(b"cut off").hexdigest()
    with pytest.raises(DataError, match=f'expected "0123abcd", got "{digest}"'):
        download(source)
    assert list(cache.iterdir()) == []
