"""A run from elsewhere names no address and no folder that is opened without being asked for."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import DataError, MisuseError
from pipeline.storage.dataset import Dataset
from tests.helpers.handmade import write_shards
from trainer.config import Settings
from trainer.trained_run import TrainedRun, open_run


def config(folder: Path, **changes: Any) -> dict[str, Any]:
    """A config.json of a run on the shards in `folder`."""
    dataset = Dataset(folder / "shards")
    resolved = {
        "samples": 24,
        "classes": 3,
        "image_size_px": 32,
        "val_resize_px": 32,
        "mean": dataset.manifest.mean,
        "std": dataset.manifest.std,
        "fingerprint": dataset.fingerprint,
        "task": {"task": "classification", "classes": dataset.manifest.classes},
    }
    settings = Settings.from_options(shards=str(folder / "shards"), threads=1).to_dict()
    return json.loads(json.dumps(settings | {"resolved": resolved} | changes))  # type: ignore[no-any-return]


def opened(folder: Path, **changes: Any) -> TrainedRun:
    (folder / "run").mkdir(exist_ok=True)
    (folder / "run" / "config.json").write_text(json.dumps(config(folder, **changes)))
    return open_run(folder / "run")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_shards(tmp_path / "shards")
    return tmp_path


def test_own_shards_are_used_if_they_are_unchanged(folder: Path) -> None:
    run = opened(folder)
    assert run.open_shards(None).fingerprint == run.data.fingerprint
    write_shards(folder / "others", samples=30)
    with pytest.raises(DataError, match=r"holds other shards than .* give --shards"):
        opened(folder, shards=str(folder / "others")).open_shards(None)
    assert run.open_shards(str(folder / "others")).fingerprint != run.data.fingerprint


def test_a_url_must_be_typed_again(folder: Path) -> None:
    run = opened(folder, shards="http://192.0.2.1/shards")
    with pytest.raises(MisuseError, match=r"give --shards http://192\.0\.2\.1/shards"):
        run.open_shards(None)


def test_the_code_of_a_run_is_not_executed(folder: Path) -> None:
    """Neither its copy, nor a file of this machine that its config names with the right hash."""
    mark, code = folder / "executed", folder / "evil.py"
    code.write_text(f"open({str(mark)!r}, 'w').close()\n")
    sha256 = hashlib.sha256(code.read_bytes()).hexdigest()
    model = f"{code}:build"
    resolved = config(folder)["resolved"]
    with pytest.raises(DataError, match="is not a config of this trainer"):
        opened(folder, model=model)
    for name in ("evil.py", str(code), "../evil.py"):
        record = {"file": name, "function": "build", "sha256": sha256}
        run = opened(folder, model=model, resolved=resolved | {"model_file": record})
        (run.directory / "model.py").write_bytes(code.read_bytes())
        with pytest.raises(MisuseError, match="was trained with a model of its own"):
            run.load_model(run.directory / "best.pt")
    assert not mark.exists()


def test_the_cache_of_a_run_is_not_used(folder: Path) -> None:
    run = opened(folder, cache_dir=str(folder / "victim"), cache_size=0.001)
    assert (run.pipeline.cache_dir, run.pipeline.cache_size) == (None, None)
