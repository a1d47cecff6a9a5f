"""Tars, indices and workers; webdataset, DALI, tar and wds2idx read the shards."""

import subprocess
import tarfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest import Manifest, sample_key
from tests.helpers.squares import Squares
from tools.config import ShardConfig
from tools.download.sources import Sources
from tools.images.encoding import Encoding
from tools.sharding import make_shard_plan
from tools.workers import WorkerDiedError, Workers
from tools.writing.block_encoding import encode_block, prepare_worker
from tools.writing.blocks import Block, BlockSettings
from tools.writing.engines import DECODER_DIED, encode_in_halves
from tools.writing.output_folder import Store
from tools.writing.plan import make_plan
from tools.writing.shard_run import ShardRun
from tools.writing.tar import member_headers


@given(
    key=st.integers(0, 10**9 - 1),
    size=st.integers(0, 8**11 - 1),
    component=st.sampled_from(["cls", "jpg", "png"]),
)
def test_headers_equal_those_of_tarfile(key: int, size: int, component: str) -> None:
    info = tarfile.TarInfo(f"{sample_key(key)}.{component}")
    info.size = size
    (header,) = member_headers(np.array([key]), np.array([size]), [component])
    assert header.tobytes() == info.tobuf(tarfile.USTAR_FORMAT)


def write_squares(out: Path, images: Squares, *, workers: int = 2, **arguments: object) -> Manifest:
    """Shard the squares, class = number modulo 12, into `out`."""
    count = len(images)
    sources = Sources(
        images=images,
        names=[f"square {n}" for n in range(count)],
        labels=np.arange(count, dtype=np.int32) % 12,
        classes=tuple(f"class {n:02d}" for n in range(12)),
        splits=None,
        rejected=(),
    )
    config = ShardConfig(src=str(out.parent), out=str(out), workers=workers, **arguments)  # type: ignore[arg-type]
    plan = make_plan(sources, val=0.2, seed=config.seed)
    store = Store(config.out)
    with store.lock(), store.scratch() as folder, Workers(workers, prepare=prepare_worker) as crew:
        size = int(config.shard_size * 2**20)
        shard_plan = make_shard_plan("squares", sources, plan, config.encoding, size, crew, folder)
        return ShardRun(shard_plan, config, store).write(crew, lambda count: None)


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("squares") / "shards"
    write_squares(out, Squares(np.arange(240)), shard_size=0.05)
    return out


def shards_of(folder: Path, split: str) -> list[Path]:
    return [folder / shard.name for shard in Dataset(folder).manifest.splits[split].shards]


def expected(folder: Path, split: str) -> list[tuple[str, int, int]]:
    """Key, label and shade of each sample, from the index and the sources."""
    names = parquet.read_table(folder / f"{split}.sources.parquet").to_pydict()
    numbers = [int(source.removeprefix("square ")) for source in names["source"]]
    labels = Dataset(folder).split(split).samples["label"]
    assert [number % 12 for number in numbers] == labels.tolist()
    return [(k, n % 12, n % 256) for k, n in zip(names["key"], numbers, strict=True)]


# webdataset leaves its files to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.parametrize("split", ["train", "val"])
def test_webdataset_reads_the_shards(squares: Path, split: str) -> None:
    import webdataset

    dataset = webdataset.WebDataset(
        [str(path) for path in shards_of(squares, split)], shardshuffle=False, empty_check=False
    )
    read = [
        (sample["__key__"], int(sample["cls"]), int(decode(sample["png"])[0, 0]))
        for sample in dataset
    ]
    assert read == expected(squares, split)


@pytest.mark.parametrize("split", ["train", "val"])
def test_dali_reads_the_shards(squares: Path, split: str) -> None:
    from nvidia.dali import fn, pipeline_def, types

    paths = [str(path) for path in shards_of(squares, split)]
    samples = expected(squares, split)

    @pipeline_def(batch_size=1, num_threads=1, device_id=None)
    def graph():  # type: ignore[no-untyped-def]
        labels, images = fn.readers.webdataset(
            paths=paths,
            index_paths=[path.removesuffix("tar") + "idx" for path in paths],
            ext=["cls", "png"],
            dtypes=[types.UINT8, types.UINT8],
        )
        return labels, fn.decoders.image(images, device="cpu", output_type=types.GRAY)

    pipe = graph()
    pipe.build()
    for _, label, shade in samples:
        labels, images = (output.at(0) for output in pipe.run())
        assert (int(bytes(labels)), int(np.asarray(images)[0, 0, 0])) == (label, shade)


def test_tar_lists_the_shards(squares: Path) -> None:
    first = shards_of(squares, "train")[0]
    listed = subprocess.run(["tar", "tf", first], capture_output=True, text=True, check=True)
    assert listed.stderr == ""
    assert listed.stdout.split()[:4] == [
        "000000000.cls",
        "000000000.png",
        "000000001.cls",
        "000000001.png",
    ]


def test_the_index_equals_that_of_wds2idx(squares: Path, tmp_path: Path) -> None:
    wds2idx = pytest.importorskip("wds2idx")
    for path in shards_of(squares, "train"):
        with wds2idx.IndexCreator(str(path), str(tmp_path / "idx"), verbose=False) as creator:
            creator.create_index()
        assert (tmp_path / "idx").read_bytes() == path.with_suffix(".idx").read_bytes()


def test_the_sample_index_finds_the_bytes(squares: Path) -> None:
    for split in ("train", "val"):
        shards = shards_of(squares, split)
        assert len(shards) > 1
        sizes = [path.stat().st_size for path in shards]
        assert min(sizes) / (0.05 * 2**20) > 0.8 and max(sizes) / (0.05 * 2**20) < 1.25
        index = Dataset(squares).split(split)
        for row, (_, _, shade) in zip(index.samples, expected(squares, split), strict=True):
            data = shards[row["shard"]].read_bytes()[row["offset"] : row["offset"] + row["size"]]
            assert decode(data).shape == (row["height"], row["width"])
            assert decode(data)[0, 0] == shade


def test_the_manifest_counts_pixels(squares: Path) -> None:
    manifest = Dataset(squares).manifest
    shades = np.concatenate(
        [
            np.full((8 + number % 40) ** 2, number % 256)
            for number in parse_sources(squares / "train.sources.parquet")
        ]
    )
    assert manifest.mean == pytest.approx([shades.mean() / 255] * 3)
    assert manifest.std == pytest.approx([shades.std() / 255] * 3)
    assert (manifest.heights[0], manifest.heights[2]) == (8, 47)
    assert sum(manifest.splits["train"].class_counts) == 192


def test_a_dying_worker_costs_only_its_image(tmp_path: Path) -> None:
    deadly, bad = frozenset({3, 77}), frozenset({5})
    squares = Squares(np.arange(120), deadly, bad)
    manifest = write_squares(tmp_path / "died", squares, max_rejected=0.1)
    assert manifest.rejected == 3
    rejected = (tmp_path / "died" / "rejected.csv").read_text().splitlines()
    assert sorted(rejected[1:]) == [
        f"square 3,{DECODER_DIED}",
        "square 5,made bad",
        f"square 77,{DECODER_DIED}",
    ]
    numbers = [
        number
        for split in manifest.splits
        for number in parse_sources(tmp_path / "died" / f"{split}.sources.parquet")
    ]
    assert sorted(numbers) == sorted(set(range(120)) - deadly - bad)
    unsound = Squares(np.arange(120), frozenset(), deadly | bad)
    write_squares(tmp_path / "unsound", unsound, workers=1, max_rejected=0.1)
    assert bytes_of(tmp_path / "died", "*.tar") == bytes_of(tmp_path / "unsound", "*.tar")


def test_halving_isolates_the_deadly_image(tmp_path: Path) -> None:
    block = Block(
        first=100,
        images=Squares(np.arange(9), frozenset({4})),
        labeled=np.ones(9, np.bool_),
        labels=np.zeros(9, np.int32),
        settings=BlockSettings(task="classification", classes=1, encoding=Encoding()),
        folder=tmp_path,
    )
    with Workers(1, prepare=prepare_worker) as workers:
        with pytest.raises(WorkerDiedError):
            workers.alone(encode_block, block)
        result = encode_in_halves(block, workers)
    assert result.rows["key"].tolist() == [100, 101, 102, 103, 105, 106, 107, 108]
    assert result.rejected == ((104, DECODER_DIED),)
    segment = b"".join(part.read_bytes() for part in result.parts)
    assert len(segment) == result.size_bytes
    for row in result.rows:
        data = segment[row["offset"] : row["offset"] + row["size"]]
        assert zlib.crc32(data) == row["crc32"]
        assert int(decode(data)[0, 0]) == row["key"] - 100


def parse_sources(path: Path) -> list[int]:
    names = parquet.read_table(path).column("source").to_pylist()
    return [int(name.removeprefix("square ")) for name in names]


def bytes_of(folder: Path, pattern: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob(pattern))}


def decode(data: bytes) -> NDArray[np.uint8]:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return np.asarray(image, np.uint8)
