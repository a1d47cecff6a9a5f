"""Models of one's own: what a file may hold, and when the copy in a run is executed."""

from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.errors import DataError, MisuseError
from trainer.files import MODEL_FILE_NAME
from trainer.model.build import build_model
from trainer.model.rehearsal import check_training
from trainer.model.sources.find import find_model
from trainer.model.sources.own_file import OwnModel, read_own_model
from trainer.model.sources.source import NetworkSpec
from trainer.model.sources.stored_file import NO_TRUST, Trust, record_of, trust_of, trusted_code

HEAD = "import torch\nfrom torch import nn\n\n\n"
FLAT = "nn.Flatten(), nn.Linear(3 * 8 * 8, outputs)"
GOOD = f"{HEAD}def net(outputs):\n    return nn.Sequential({FLAT})\n"


def module(forward: str, *, layers: str = "nn.Linear(192, outputs)") -> str:
    """A file whose network has the line `forward`, where `logits` are right."""
    return (
        f"{HEAD}class Net(nn.Module):\n    def __init__(self, outputs):\n"
        f"        super().__init__()\n        self.layer = {layers}\n\n"
        f"    def forward(self, images):\n        logits = self.layer(images.flatten(1))\n"
        f"        {forward}\n\n\nnet = Net\n"
    )


def write(folder: Path, text: str) -> str:
    (folder / "nets.py").write_text(text)
    return f"{folder / 'nets.py'}:net"


def build(name: str, *, pixelwise: bool = False) -> None:
    """Build the model as a training does."""
    source = find_model(name)
    spec = NetworkSpec(classes=5, image_size_px=8, pixelwise=pixelwise)
    model = build_model(source, spec, mean=(0.5,) * 3, std=(0.2,) * 3, seed=0)
    check_training(model, source.name, outputs=5, sizes_px=[8])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def net(outputs:\n", r"fails in line 1 when it is imported \(SyntaxError"),
        ("\nimport no_such_package\n", r"fails in line 2 when it is imported \(ModuleNotFoundErr"),
        ("raise SystemExit('bye')\n", r"fails in line 1 when it is imported \(SystemExit: bye"),
        ("def other(outputs): ...\n", "has no function net: give one of its functions"),
        ("net = 3\n", "has no function net"),
        ("def net(): ...\n", r"when it is called with 5 outputs \(TypeError"),
        ("def net(outputs):\n    return outputs / 0\n", r"fails in line 2 when it is called"),
        ("def net(outputs):\n    return [outputs]\n", r"net returns list, not a torch\.nn\.Module"),
        (f"{HEAD}net = lambda outputs: nn.Flatten()\n", "has no parameters to train"),
        (GOOD.replace("outputs))", "outputs + 1))"), r"tensor of \(1, 6\) for 1 image\(s\), wh"),
        (module("return logits, logits"), r"a tuple for 1 image\(s\), where a tensor of \(1, 5\)"),
        (module("return {'logits': logits}"), "returns a dict for 1 image"),
        (module("return (logits, 1) if self.training else logits"), r"a tuple for 2 image\(s\)"),
        (module("return logits + (self.training and logits['no'])"), r"fails in training on imag"),
        (module("return logits * float(logits.sum()), 1"), r"a tuple for 1 image"),
        (module("return logits[:, :, None]"), r"tensor of \(1, 5, 1\)"),
        (module("return logits / logits['no']"), "does not accept images of 8 x 8 px"),
        (module("return logits", layers="nn.Linear(1000, outputs)"), "does not accept images of 8"),
        (module("return logits.detach()"), r"layer\.weight, layer\.bias get no gradient"),
        (module("return logits + nn.functional.relu(images.mean())").replace(
            "super().__init__()", "super().__init__(); self.idle = nn.Linear(2, 2)"
        ), r"idle\.weight, idle\.bias get no gradient, so they can't be trained, and DDP"),
        (module("return logits").replace(
            "super().__init__()",
            "super().__init__(); self.kept = nn.Parameter(torch.ones(2)) * 2",
        ), "can't be copied"),
    ],
)  # fmt: skip
def test_a_file_that_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    name = write(tmp_path, text)
    with pytest.raises(MisuseError, match=message) as failure:
        build(name)
    assert failure.value.message.startswith(f"--model {name}")


def test_what_is_no_file_with_a_function_is_named(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=r"nets\.py names no function: give .*nets\.py:FUNCTION"):
        find_model(str(tmp_path / "nets.py"))
    with pytest.raises(MisuseError, match=r"nets\.py can't be read \(No such file"):
        find_model(str(tmp_path / "nets.py:net"))
    with pytest.raises(MisuseError, match="not a plain file"):
        (tmp_path / "folder.py").mkdir()
        find_model(str(tmp_path / "folder.py:net"))


@pytest.mark.parametrize("heads", ["logits", "{'out': logits}", "{'out': logits, 'aux': logits}"])
def test_masks_take_a_tensor_or_a_dict(tmp_path: Path, heads: str) -> None:
    text = module(f"return {heads}", layers="nn.Conv2d(3, outputs, 1)")
    build(write(tmp_path, text.replace(".flatten(1)", "")), pixelwise=True)


def test_frozen_parameters_need_no_gradient(tmp_path: Path) -> None:
    frozen = "super().__init__(); self.idle = nn.Linear(2, 2).requires_grad_(False)"
    build(write(tmp_path, module("return logits").replace("super().__init__()", frozen)))


def trained(folder: Path, text: str = GOOD) -> tuple[Path, OwnModel]:
    """A run with the copy of its file, and its model."""
    model = read_own_model(write(folder, text))
    (folder / "run").mkdir(exist_ok=True)
    (folder / "run" / MODEL_FILE_NAME).write_bytes(model.code)
    return folder / "run", model


def test_a_copy_is_executed_only_if_it_is_trusted(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    run, model = trained(tmp_path, f"{GOOD}open({str(mark)!r}, 'w').close()\n")
    with pytest.raises(MisuseError, match=r"give the file by --model nets\.py, or --trust-model"):
        trusted_code(run, record_of(model), NO_TRUST)
    assert not mark.exists()
    spec = NetworkSpec(classes=5, image_size_px=8)
    stored = OwnModel(**vars(trusted_code(run, record_of(model), Trust(stored=True))))
    assert isinstance(stored.build(spec), torch.nn.Module)
    assert mark.exists()
    for given in (f"{tmp_path / 'nets.py'}", f"{tmp_path / 'nets.py'}:net"):
        code = trusted_code(run, record_of(model), trust_of([given], stored=False))
        assert OwnModel(**vars(code)).identity == stored.identity == model.identity


def test_a_changed_file_is_not_executed(tmp_path: Path) -> None:
    run, model = trained(tmp_path)
    write(tmp_path, "raise AssertionError\n")
    given: dict[str, Any] = {"files": [str(tmp_path / "nets.py")]}
    with pytest.raises(MisuseError, match=f"its SHA-256 is not {model.sha256}"):
        trusted_code(run, record_of(model), Trust(**given))
    assert trusted_code(run, record_of(model), Trust(**given, stored=True)).code == model.code
    (run / MODEL_FILE_NAME).write_text("raise AssertionError\n")
    with pytest.raises(DataError, match=r"model\.py is not the file that .*run was trained with"):
        trusted_code(run, record_of(model), Trust(stored=True))
    (run / MODEL_FILE_NAME).unlink()
    with pytest.raises(DataError, match=r"model\.py can't be read \(No such file"):
        trusted_code(run, record_of(model), Trust(stored=True))


def test_only_files_are_given_again() -> None:
    with pytest.raises(MisuseError, match="--model resnet18: the run says which model it has"):
        trust_of(["resnet18"], stored=False)
