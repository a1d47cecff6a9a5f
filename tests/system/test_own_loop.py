"""Every example of docs/own-loop.md runs as it stands there, on shards of 31 classes."""

import re
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torchvision

from pipeline import Dataset, val_loader
from pipeline.storage.manifest import Split
from tests.helpers.data import make_shards
from tests.helpers.pages import ROOT, blocks
from tests.helpers.two_digits import CLASSES, write_two_digits
from trainer.config import Settings
from trainer.model.sources.source import NetworkSpec
from trainer.model.sources.torchvision_models import TorchvisionModel
from trainer.tasks.multi_label import MultiLabel
from trainer.tasks.regression import Regression
from trainer.tasks.tasks import task_record
from trainer.train import run
from trainer.trained_run import open_run

PAGE = (ROOT / "docs" / "own-loop.md").read_text()
SECTIONS = re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
# The blocks of a section build on each other.
EXAMPLES = {title: "\n".join(blocks(text, "python")) for title, text in SECTIONS}
CPU = torch.device("cpu")

# Those of the frameworks about themselves, and of what a script leaves to the end of its process.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def download(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_two_digits(tmp_path_factory.mktemp("numbers") / "kaggle")


@pytest.fixture(scope="module")
def shards(download: Path) -> Path:
    return make_shards(download, download.parent / "shards")


@pytest.fixture
def splits(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Split]:
    """The splits of the shards that lie in the reader's folder."""
    (tmp_path / "shards").symlink_to(shards)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    manifest = Dataset("shards").manifest
    assert manifest.classes == CLASSES and len(CLASSES) == 31
    return manifest.splits


def example(title: str) -> dict[str, Any]:
    """The names that the blocks of a section leave."""
    assert EXAMPLES[title]
    names: dict[str, Any] = {}
    exec(EXAMPLES[title], names)
    return names


def test_no_example_is_forgotten() -> None:
    tested = re.findall(r'\bexample\("(.+)"\)', Path(__file__).read_text())
    assert [title for title, code in EXAMPLES.items() if code] == tested
    assert sum(len(blocks(text, "python")) for _, text in SECTIONS) == PAGE.count("```python")


def test_pytorch(splits: dict[str, Split], capsys: pytest.CaptureFixture[str]) -> None:
    names = example("PyTorch")
    saved = torch.load("own.pt", weights_only=True)
    assert 0 <= saved["loader"]["position"] - 2 * splits["train"].samples < 64
    assert saved["model"]["fc.weight"].shape == (31, 512)
    assert str(names["epochs"]).startswith("Epochs(epoch: 2, batches: ")
    labels = Dataset("shards").split("val").samples["label"]
    correct = [0] * 31
    with torch.no_grad():
        for batch in names["val"]:
            for row, logits in zip(batch.samples, names["forward"](batch), strict=True):
                correct[labels[row]] += int(logits.argmax()) == labels[row]
    assert names["correct"].tolist() == correct
    top1 = f"{sum(correct) / splits['val'].samples:.1%}"
    assert capsys.readouterr().out.splitlines()[1] == f"epoch 1: top-1 {top1}"


def test_source_files(splits: dict[str, Split], capsys: pytest.CaptureFixture[str]) -> None:
    example("Which file a sample is")
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == splits["val"].samples
    assert [Path(file).parent.name for file, _ in lines] == [name for _, name in lines]
    assert len({name for _, name in lines}) > 20


def test_checkpoint(
    splits: dict[str, Split], download: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"model": "squeezenet1_1", "image_size": 32, "ema_decay": 0.5, "precision": "fp32"}
    run(Settings.from_options(**options, out="runs/first", epochs=0.5, global_batch_size=64))
    photo = download / "n17" / "17-3.png"
    cv2.imwrite("photo.jpg", cv2.imread(str(photo)))
    capsys.readouterr()

    names = example("A model of the trainer in torchvision")
    network, transform = names["network"], names["transform"]
    key, last = next(iter(names["checkpoint"]["network"].items()))
    assert not torch.equal(network.state_dict()[key], last)  # but the average
    trained = open_run(Path("runs/first"))
    model = trained.load_model(trained.checkpoint()).eval()
    mean, std = (torch.tensor(names["facts"][key]).view(3, 1, 1) for key in ("mean", "std"))
    with val_loader(Dataset("shards"), trained.pipeline, batch_size=64, device=CPU) as loader:
        images = next(iter(loader)).images
    with torch.no_grad():
        logits = model(images)
        torch.testing.assert_close(network((images / 255 - mean) / std), logits)
        of_photo = model(transform.pixels(names["image"])[None]).softmax(1)[0]
    torch.testing.assert_close(names["probabilities"], of_photo)
    best = CLASSES[int(of_photo.argmax())]
    assert capsys.readouterr().out.startswith(f"{best}: {of_photo.max():.1%}")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("googlenet", {"aux_logits": False}),
        ("inception_v3", {"aux_logits": False}),
        ("vit_b_16", {"image_size": 96}),
        ("maxvit_t", {"input_size": (224, 224)}),
        ("deeplabv3_resnet50", {"weights_backbone": None, "aux_loss": True}),
        ("fcn_resnet50", {"weights_backbone": None, "aux_loss": True}),
        ("lraspp_mobilenet_v3_large", {"weights_backbone": None}),
    ],
)
def test_models_built_with_more_arguments(name: str, arguments: dict[str, Any]) -> None:
    family = re.match("[a-z]+", name)[0]  # type: ignore[index]
    row = re.search(rf"^\| [^|]*\b{family}[^|]*\| (.+) \|$", PAGE, re.MULTILINE)
    assert row and re.findall(r"(\w+)=", row[1]) == [*arguments]
    side_px = arguments.get("image_size", 224)
    with torch.device("meta"):
        plain = torchvision.models.get_model(name, num_classes=31, **arguments)
        pixelwise = "weights_backbone" in arguments
        spec = NetworkSpec(classes=31, image_size_px=side_px, pixelwise=pixelwise)
        trained = TorchvisionModel(name=name).build(spec)
    shapes = [
        {key: tensor.shape for key, tensor in network.state_dict().items()}
        for network in (plain, trained)
    ]
    assert shapes[0] == shapes[1]


def test_a_task_has_the_entries_that_the_page_names() -> None:
    task = Regression(targets=("x", "y"), means=(3.0, 4.0), stds=(1.0, 2.0))
    values = {"targets": task.targets, "means": task.means, "deviations": task.stds}
    record = task_record(task)
    assert {*re.findall(r'facts\["task"\]\["(\w+)"\]', PAGE)} == {"classes", *values}
    assert record.items() >= values.items()
    assert task_record(MultiLabel(classes=CLASSES))["classes"] == CLASSES


def test_lightning(splits: dict[str, Split]) -> None:
    pytest.importorskip("lightning")
    names = example("Lightning")
    trainer = names["trainer"]
    assert trainer.model.network.out_features == 31
    position = trainer.train_dataloader.state_dict()["position"]
    assert 0 <= position - 2 * splits["train"].samples < 256
    assert 0 <= trainer.callback_metrics["top1"] <= 1


def test_accelerate(splits: dict[str, Split]) -> None:
    pytest.importorskip("accelerate")
    names = example("Accelerate")
    assert names["model"].out_features == 31
    assert 0 <= names["batches"].state_dict()["position"] - 2 * splits["train"].samples < 256


def test_webdataset(splits: dict[str, Split], monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("pipeline", "tools", "trainer"):
        monkeypatch.setitem(sys.modules, package, None)  # an import of it fails
    names = example("webdataset alone")
    assert tuple(names["seen"].values()) == splits["train"].class_counts
    assert np.ndim(names["image"]) == 3
