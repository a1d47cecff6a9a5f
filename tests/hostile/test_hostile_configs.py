"""Mutated configs of runs: a sentence or the run, without its cache folder."""

import json
from pathlib import Path

import click
import pytest

from tests.helpers.amounts import all_or_tenth
from tests.helpers.handmade import write_shards
from tests.hostile.mutations import mutate
from tests.trainer.test_run_from_elsewhere import config
from trainer.trained_run import open_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("configs")
    write_shards(folder / "shards")
    (folder / "run").mkdir()
    (folder / "victim").touch()
    return folder


@pytest.mark.parametrize("seed", all_or_tenth(range(150)))
def test_configs(seed: int, folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    text = json.dumps(mutate(config(folder), seed, str(folder / "victim")))
    path = folder / "run" / "config.json"
    path.write_text(text)
    try:
        run = open_run(folder / "run")
        assert run.pipeline.cache_dir is None and run.pipeline.cache_size is None
        run.require_same_labels(run.open_shards(None))
    except click.ClickException as error:
        assert error.format_message()
    finally:
        path.unlink()
    assert sorted(folder.rglob("*")) == before
