"""Name the kind of a file that is no readable image, for rejected.csv."""

import re

_HEIF_BRANDS = rb"hei[cxms]|hev[cx]|mif1|msf1"
_SPACE = rb"(?:\xef\xbb\xbf)?\s*"
# Patterns for the first bytes, and the kind with advice. The first that matches counts.
_KINDS = tuple(
    (re.compile(pattern, re.DOTALL), text)
    for pattern, text in (
        (rb"\Z", "the file is empty"),
        (rb"%PDF", "a PDF: render its pages as images first"),
        (rb"PK\x03\x04", "a zip, not an image"),
        (rb"\x1f\x8b", "a gzip file, not an image"),
        (rb"7z\xbc\xaf\x27\x1c", "a 7z archive, not an image"),
        (rb"Rar!", "a RAR archive, not an image"),
        (rb"8BPS", "a Photoshop document: export it as PNG first"),
        (rb"v/1\x01", "an OpenEXR of floating-point pixels: convert it to PNG first"),
        (
            rb"#\?RADIANCE|#\?RGBE",
            "a Radiance HDR of floating-point pixels: convert it to PNG first",
        ),
        (rb"P[Ff]\n", "a PFM of floating-point pixels: convert it to PNG first"),
        (rb"\xff\x0a|\0\0\0\x0cJXL ", "a JPEG XL: convert it to JPEG or PNG first"),
        (rb"\0\0\x01\0", "an icon (ICO): convert it to PNG first"),
        (rb"\0\x05\x16\x07", "macOS metadata (AppleDouble), not the file itself"),
        (rb"\x93NUMPY", "a NumPy array, not an image"),
        (rb"\x89HDF", "an HDF5 file, not an image"),
        (rb"SIMPLE  =", "a FITS file: convert it to PNG first"),
        (rb".{4}ftyp(?:" + _HEIF_BRANDS + rb")", "a HEIC: convert it to JPEG or PNG first"),
        (rb"\x1aE\xdf\xa3|.{4}ftyp", "a video, not an image"),
        (rb"RIFF", "a sound or a video, not an image"),
        (rb".{128}DICM", "a DICOM: export it as PNG first"),
        (
            _SPACE + rb"version https://git-lfs",
            "a Git LFS pointer, not the file itself: fetch it with git lfs pull",
        ),
        (_SPACE + rb"(?=<).{0,1000}(?i:<svg)", "an SVG: render it as PNG first"),
        (rb".{0,1000}(?i:<(?:!doctype\s+html|html|head|body)\b)", "an HTML page, not an image"),
        (rb"\0+\Z", "nothing but zero bytes: an unfinished download or copy"),
    )
)
_SHOWN_CHARACTERS = 30
_SHOWN_BYTES = 8


def describe_non_image(data: bytes) -> str:
    """The kind of a file that no image reader knows, such as "an HTML page, not an image"."""
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
