"""Name the kind of a file that is no readable image, or that is neither image nor table."""

import re

_HEIF_BRANDS = rb"hei[cxms]|hev[cx]|mif1|msf1"
_SPACE = rb"(?:\xef\xbb\xbf)?\s*"
# Documents that lie under any name, mostly after a failed download: a pattern for the first bytes,
# what the file is, and advice.
_FOREIGN = tuple(
    (re.compile(pattern, re.DOTALL), what, advice)
    for pattern, what, advice in (
        (rb"%PDF", "a PDF", "export its contents first"),
        (rb"PK\x03\x04.{26}\[Content_Types\]", "an Office document", "export it as CSV"),
        (rb"PK\x03\x04", "a zip", "unzip it, or give it the extension .zip"),
        (rb"\x1f\x8b", "a gzip file", "unpack it with gunzip first"),
        (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first"),
        (rb"Rar!\x1a\x07", "a RAR archive", "unpack it first"),
        (rb"\xd0\xcf\x11\xe0", "an old or encrypted Office document", "export it as CSV"),
        (rb"PAR1", "a parquet file", "give it the extension .parquet"),
        (rb"SQLite format 3\0", "an SQLite database", "export its tables as CSV"),
        (rb"\0\x05\x16\x07", "macOS metadata (AppleDouble)", "copy the file itself"),
        (rb"\x93NUMPY", "a NumPy array", "give it the extension .npy"),
        (rb"\x89HDF", "an HDF5 file", "give it the extension .h5"),
        (_SPACE + rb"version https://git-lfs", "a Git LFS pointer", "run git lfs pull"),
        (
            _SPACE + rb"(?:<!--.{0,500}?-->\s*)?(?i:<(?:!doctype\s+html|html|head|body)\b)",
            "an HTML page",
            "download the file again while logged in",
        ),
        (
            _SPACE + rb"(?:<\?xml[^>]*>\s*)?<Error>",
            "an XML error document",
            "download the file again",
        ),
        (
            _SPACE
            + rb"\{\s*\"(?:code\"\s*:\s*\d+\s*,\s*\"message\"|"
            + rb"(?:message|error)\"\s*:\s*\"[^\"]*\"\s*\}\s*\Z)",
            "a JSON error message",
            "download the file again",
        ),
        (rb"\0+\Z", "nothing but zero bytes", "the download or copy was not finished"),
    )
)
# Patterns for the first bytes of other files, and the kind with advice. The first match counts.
_KINDS = tuple(
    (re.compile(pattern, re.DOTALL), text)
    for pattern, text in (
        (rb"\Z", "the file is empty"),
        (rb"8BPS", "a Photoshop document: export it as PNG first"),
        (rb"v/1\x01", "an OpenEXR of floating-point pixels: convert it to PNG first"),
        (
            rb"#\?RADIANCE|#\?RGBE",
            "a Radiance HDR of floating-point pixels: convert it to PNG first",
        ),
        (rb"P[Ff]\n", "a PFM of floating-point pixels: convert it to PNG first"),
        (rb"\xff\x0a|\0\0\0\x0cJXL ", "a JPEG XL: convert it to JPEG or PNG first"),
        (rb"\0\0\x01\0", "an icon (ICO): convert it to PNG first"),
        (rb"SIMPLE  =", "a FITS file: convert it to PNG first"),
        (rb".{4}ftyp(?:" + _HEIF_BRANDS + rb")", "a HEIC: convert it to JPEG or PNG first"),
        (rb"\x1aE\xdf\xa3|.{4}ftyp", "a video, not an image"),
        (rb"RIFF", "a sound or a video, not an image"),
        (rb".{128}DICM", "a DICOM: export it as PNG first"),
        (_SPACE + rb"(?=<).{0,1000}(?i:<svg)", "an SVG: render it as PNG first"),
        (rb".{0,1000}(?i:<(?:!doctype\s+html|html|head|body)\b)", "an HTML page, not an image"),
    )
)
_SHOWN_CHARACTERS = 30
_SHOWN_BYTES = 8


def describe_foreign(data: bytes, wanted: str) -> str | None:
    """What a file is that is neither image nor table, from its first bytes, and what to do; None if
    that is unknown. With "an image" as `wanted`: "an HTML page, not an image: ..."."""
    for pattern, what, advice in _FOREIGN:
        if pattern.match(data[:4096]):
            return f"{what}, not {wanted}: {advice}"
    return None


def describe_non_image(data: bytes) -> str:
    """The kind of a file that no image reader knows, such as "an HTML page, not an image"."""
    if data and (foreign := describe_foreign(data, "an image")) is not None:
        return foreign
    for pattern, text in _KINDS:
        if pattern.match(data[:4096]):
            return text
    if words := _decode_text(data[:1024]):
        return f"a text file, it begins with {words[:_SHOWN_CHARACTERS]!r}"
    first = data[:_SHOWN_BYTES].hex(" ")
    return f"not an image in a format that OpenCV reads (it begins with the bytes {first})"


def _decode_text(data: bytes) -> str:
    """The text, if it is UTF-8 without control characters."""
    try:
        # A character of several bytes may be cut at the end.
        text = data.decode(errors="strict" if len(data) < 1024 else "ignore").strip()
    except UnicodeDecodeError:
        return ""
    return text if all(c.isprintable() or c in "\r\n\t" for c in text) else ""
