"""Files that kill decoders, that decoders disagree about, that claim too much, that are damaged:
each is stored as Pillow and DALI read it, or rejected with a reason."""

import re
import resource
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from nvidia.dali import fn, pipeline_def, types
from sklearn.datasets import load_digits

from tests.helpers.amounts import all_or_tenth
from tests.helpers.outcomes import (
    in_workers,
    outcome,
    outcomes,
    outcomes_in_little_memory,
    outcomes_without_pixels,
)
from tests.helpers.pillow_reading import pillow_reading
from tools.images.codec import Encoded, Pixels, UnsoundImageError, encode_file
from tools.images.encoding import Encoding
from tools.images.guards import StderrCapture, memory_bounded

# Decoders of JPEG and CMYK round differently, and so does scaling 16 bits.
TOLERANCE = 2
# Files of decoder_edge_dev that Pillow reads and this tool rejects.
REFUSED = {
    r"16bit\.s\.tif|8bit\.s\.tif": "signed pixels",
    r"hopper\.Lab\.tif|lab.*\.tif": "L*a*b* colors",
    r"hopper_lzma\.tif": "compressed with LZMA",
    r"crash-0da.*\.tif|hopper_gray_4bpp\.tif|multipage-lastframe\.tif": "-bit pixels",
    r"tiff_strip_cmyk_16l_jpeg\.tif|hopper_rle8_row_overflow\.bmp": "a variant that OpenCV",
    r"crash-74d.*\.tif": "the TIFF is damaged",
    r"mmap_error\.bmp": "pixels begin within the header",
    r"xcsn0g01\.png": "the PNG is damaged",
    # Stray bytes between segments: libjpeg then is silent about damage that follows.
    r"hopper_bad_exif|jpeg_ff00_header|junk_jpeg_header|photoshop-200dpi-broken|truncated_app14": (
        "the JPEG is damaged: extraneous bytes"
    ),
}
# Files that Pillow rejects for a chunk without pixels.
STORED = ("png_decompression_dos.png", "unknown_compression_method.png")


def dali_reading(files: Sequence[bytes]) -> Iterator[Pixels]:
    """RGB as DALI's CPU decoder reads it."""

    @pipeline_def(batch_size=32, num_threads=2, device_id=None, prefetch_queue_depth=1)
    def graph() -> object:
        encoded = fn.external_source(name="encoded", dtype=types.UINT8, ndim=1)
        return fn.decoders.image(encoded, device="cpu", output_type=types.RGB)

    pipe = graph()
    pipe.build()
    for first in range(0, len(files), 32):
        batch = [np.frombuffer(data, np.uint8) for data in files[first : first + 32]]
        pipe.feed_input("encoded", batch)
        (images,) = pipe.run()
        for n in range(len(batch)):
            yield np.asarray(images.at(n))


def as_rgb(pixels: Pixels) -> Pixels:
    if pixels.ndim == 2:
        return np.repeat(pixels[:, :, None], 3, axis=2)
    return pixels[:, :, ::-1]


def difference(one: Pixels, other: Pixels) -> int:
    assert one.shape == other.shape
    return int(np.abs(one.astype(np.int16) - other).max())


def test_all_edge_files_match_pillow_and_dali(shared_data: Callable[[str], Path]) -> None:
    folder = shared_data("decoder_edge_dev")
    paths = sorted(p for p in folder.rglob("*") if p.suffix in (".png", ".jpg", ".bmp", ".tif"))
    assert len(paths) == 805
    files = [path.read_bytes() for path in paths]
    results = in_workers(partial(outcomes, encoding=Encoding(mode="keep")), files)
    stored: dict[str, Encoded] = {}
    for path, data, one in zip(paths, files, results, strict=True):
        try:
            expected = pillow_reading(data)
        except Exception:
            assert isinstance(one, str) or path.name in STORED, path.name
            continue
        if isinstance(one, str):
            reasons = [text for name, text in REFUSED.items() if re.match(name, path.name)]
            assert any(text in one for text in reasons), f"{path.name}: {one}"
        else:
            assert difference(as_rgb(one.pixels), expected) <= TOLERANCE, path.name
            stored[path.name] = one
    kept = [name for name, one in stored.items() if one.data in files]
    assert len(stored) > 740 and len(kept) > 300
    readings = dali_reading([one.data for one in stored.values()])
    for (name, one), reading in zip(stored.items(), readings, strict=True):
        assert reading.shape[:2] == (one.height, one.width), name
        if not one.lossy:
            assert difference(reading, as_rgb(one.pixels)) <= TOLERANCE, name


def photographs(shared_data: Callable[[str], Path]) -> list[Pixels]:
    """Crops of 96 x 128 px, if the archive is there."""
    try:
        paths = sorted(shared_data("imagenet_sample").glob("*.JPEG"))[:20]
    except pytest.skip.Exception:
        return []
    return [np.ascontiguousarray(cv2.imread(str(path))[40:136, 40:168]) for path in paths]


def seeds_of_fuzz(shared_data: Callable[[str], Path]) -> list[bytes]:
    """About 200 small images of all formats."""
    digits = [(image * 15.9).astype(np.uint8) for image in load_digits().images[:20]]
    color = [cv2.applyColorMap(cv2.resize(digit, (40, 30)), 2) for digit in digits]
    suffixes = (".png", ".jpg", ".gif", ".webp", ".bmp", ".tiff", ".avif")
    pictures = [*color, *photographs(shared_data)]
    seeds = [
        cv2.imencode(suffix, picture)[1].tobytes()
        for number, picture in enumerate(pictures)
        for suffix in suffixes
        if suffix != ".avif" or number % 4 == 0
    ]
    progressive = (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    return [
        *seeds,
        *(cv2.imencode(".png", digit)[1].tobytes() for digit in digits),
        *(cv2.imencode(".jpg", p, progressive)[1].tobytes() for p in pictures[:10]),
        *(cv2.imencode(".jp2", p)[1].tobytes() for p in pictures[20:25]),
    ]


def mutations(data: bytes, count: int, rng: np.random.Generator) -> Iterator[bytes]:
    """Cut off, bits flipped, bytes overwritten, or pieces taken out; half of it in the header."""
    for number in range(count):
        changed = bytearray(data)
        reach = len(data) if number % 2 else min(len(data), 200)
        if number % 5 == 0:
            yield data[: rng.integers(0, len(data))]
            continue
        if number % 5 == 1:
            first = int(rng.integers(0, reach))
            del changed[first : first + int(rng.integers(1, 64))]
        for _ in range(int(rng.integers(1, 8))):
            offset = int(rng.integers(0, min(reach, len(changed))))
            changed[offset] = int(rng.choice([0, 255, changed[offset] ^ 1 << int(rng.integers(8))]))
        yield bytes(changed)


@pytest.mark.parametrize("mode", ["keep", "auto"])
def test_fuzz(mode: str, shared_data: Callable[[str], Path]) -> None:
    """2,000 damaged images in the two modes together, or a tenth of them: each gives a sample or a
    reason."""
    rng = np.random.default_rng(20 if mode == "keep" else 21)
    seeds = seeds_of_fuzz(shared_data)
    assert len(seeds) >= 140
    count = 1000 // len(seeds) + 1
    everything = [changed for data in seeds for changed in mutations(data, count, rng)]
    files = all_or_tenth(everything)
    results = in_workers(partial(outcomes_without_pixels, encoding=Encoding(mode=mode)), files)
    assert len(everything) >= 1000 and len(results) == len(files)
    kinds = Counter("stored" if isinstance(one, Encoded) else "refused" for one in results)
    assert min(kinds["stored"], kinds["refused"]) > len(files) / 10
    for one in results:
        if isinstance(one, Encoded):
            header_size = cv2.imdecode(np.frombuffer(one.data, np.uint8), 1).shape[:2]
            assert header_size == (one.height, one.width)
        else:
            assert one.isprintable() and 5 < len(one) < 200


def test_verification_without_pixels_finds_the_same_damage(
    shared_data: Callable[[str], Path],
) -> None:
    rng = np.random.default_rng(22)
    seeds = [
        cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_RST_INTERVAL, interval))[1].tobytes()
        for picture in [*photographs(shared_data), *synthetic()]
        for interval in (0, 3)
    ]
    texts = []
    with StderrCapture() as stderr:
        for data in all_or_tenth([c for seed in seeds for c in mutations(seed, 30, rng)]):
            pair = []
            for in_full in (True, False):
                try:
                    encode_file(data, Encoding(), stderr, in_full=in_full)
                    pair.append("")
                except UnsoundImageError as error:
                    pair.append(str(error))
            assert pair[0] == pair[1]
            texts.append(pair[0])
    assert min(texts.count(""), len(texts) - texts.count("")) >= len(texts) / 10


def synthetic() -> list[Pixels]:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (10, 8, 8, 3), np.uint8)
    return [cv2.resize(one, (100, 75), interpolation=cv2.INTER_CUBIC) for one in coarse]


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(height: int, width: int, body: bytes = b"") -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"".join(
        (b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", head), chunk(b"IDAT", body), chunk(b"IEND", b""))
    )


def patched(suffix: str, mark: bytes, distance: int, size: bytes) -> bytes:
    """A sound image of 64 x 64 px whose header claims another size."""
    data = bytearray(cv2.imencode(suffix, np.zeros((64, 64, 3), np.uint8))[1].tobytes())
    offset = data.index(mark) + distance
    data[offset : offset + len(size)] = size
    return bytes(data)


def huge_tiff(height: int, width: int, tile: int = 16) -> bytes:
    sides = ((256, width), (257, height), (322, tile), (323, tile))
    entries = sorted((*sides, (258, 8), (262, 1), (324, 200), (325, 1000)))
    fields = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + fields + bytes(1200)


SIDE = 30_000
BOMBS = {
    "png of 100,000": png(100_000, 100_000),
    # 110 KB of deflated zeros.
    "png of zeros": png(SIDE, SIDE, zlib.compress(bytes(SIDE * (SIDE // 8 + 1)), 9)),
    "jpeg": patched(".jpg", b"\xff\xc0", 5, struct.pack(">HH", SIDE, SIDE)),
    "gif": patched(".gif", b"GIF89a", 6, struct.pack("<HH", SIDE, SIDE)),
    "bmp": patched(".bmp", b"BM", 18, struct.pack("<ii", SIDE, -SIDE)),
    "tiff": huge_tiff(SIDE, SIDE),
    "webp": b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + SIDE.to_bytes(3, "little") * 2,
    "avif": patched(".avif", b"ispe", 8, struct.pack(">II", SIDE, SIDE)),
    "jpeg 2000": patched(".jp2", b"\xff\x4f\xff\x51", 8, struct.pack(">II", SIDE, SIDE)),
    "ppm": b"P6\n# wide\n30000 30000\n255\n" + bytes(99),
    "pam": b"P7\nWIDTH 30000\nHEIGHT 30000\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n",
    "sun raster": struct.pack(">8I", 0x59A66A95, SIDE, SIDE, 24, 99, 1, 0, 0) + bytes(99),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_rejected_by_their_header(name: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reason = outcome(BOMBS[name], Encoding())
    assert isinstance(reason, str) and reason.endswith("px are more than --max-pixels 100 allows")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**10


def test_a_tiff_of_huge_tiles_is_rejected() -> None:
    assert outcome(huge_tiff(64, 64, 2**20), Encoding()) == (
        "a TIFF in tiles of 1048576 x 1048576 px"
    )


def test_max_pixels_is_the_limit() -> None:
    data = png(300, 400, zlib.compress(bytes(300 * 51)))
    assert isinstance(outcome(data, Encoding(max_pixels=120_000)), Encoded)
    assert outcome(data, Encoding(max_pixels=119_999)) == (
        "400 x 300 px are more than --max-pixels 0.119999 allows"
    )


def test_memory_of_an_avif_with_a_wrong_size_is_limited() -> None:
    """2,000 x 2,000 px take 50 MB; the header says 16 x 16."""
    pixels = np.zeros((2000, 2000, 3), np.uint8)
    data = bytearray(cv2.imencode(".avif", pixels, (cv2.IMWRITE_AVIF_SPEED, 10))[1].tobytes())
    offset = data.index(b"ispe")
    data[offset + 8 : offset + 16] = struct.pack(">II", 16, 16)
    (result,) = in_workers(partial(outcomes, encoding=Encoding()), [bytes(data)])
    assert isinstance(result, Encoded)
    work = partial(outcomes_in_little_memory, encoding=Encoding())
    (result,) = in_workers(work, [bytes(data)])
    assert result == "the AVIF is damaged or cut off, or is a variant that OpenCV doesn't read"


def test_memory_is_bounded_only_within_the_context() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with memory_bounded(2**26), pytest.raises(MemoryError):
        np.ones(2**28, np.uint8)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_a_jpeg_of_many_scans_is_rejected() -> None:
    picture = synthetic()[0]
    data = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_PROGRESSIVE, 1))[1].tobytes()
    last = data.rindex(b"\xff\xda")
    reason = outcome(data[:last] + data[last:-2] * 300 + data[-2:], Encoding())
    assert isinstance(reason, str) and "scans" in reason
