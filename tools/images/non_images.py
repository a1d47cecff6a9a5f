"""What bytes are that are no image: the words for rejected.csv."""

import re

_LFS = b"version https://git-lfs"
_HTML = re.compile(rb"<(!doctype\s+html|html|head|body)\b", re.IGNORECASE)
# How a file begins -> what it is, and what to do.
_BEGINNINGS = {
    b"%PDF": "a PDF: render its pages as images first",
    b"PK\x03\x04": "a zip, not an image",
    b"\x1f\x8b": "a gzip file, not an image",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive, not an image",
    b"Rar!": "a RAR archive, not an image",
    b"8BPS": "a Photoshop document: export it as PNG first",
    b"v/1\x01": "an OpenEXR of floating-point pixels: convert it to PNG first",
    b"#?RADIANCE": "a Radiance HDR of floating-point pixels: convert it to PNG first",
    b"#?RGBE": "a Radiance HDR of floating-point pixels: convert it to PNG first",
    b"PF\n": "a PFM of floating-point pixels: convert it to PNG first",
    b"Pf\n": "a PFM of floating-point pixels: convert it to PNG first",
    b"\xff\x0a": "a JPEG XL: convert it to JPEG or PNG first",
    b"\0\0\0\x0cJXL ": "a JPEG XL: convert it to JPEG or PNG first",
    b"\0\0\x01\0": "an icon (ICO): convert it to PNG first",
    b"\0\x05\x16\x07": "what macOS stores beside a file, not the file itself",
    b"\x93NUMPY": "a NumPy array, not an image",
    b"\x89HDF": "an HDF5 file, not an image",
    b"SIMPLE  =": "a FITS file: convert it to PNG first",
    b"\x1aE\xdf\xa3": "a video, not an image",
}
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_SHOWN_CHARACTERS = 30
_SHOWN_BYTES = 8


def describe_non_image(data: bytes) -> str:
    """What a file is that no image reader knows, as in "an HTML page, not an image"."""
    if not data:
        return "the file is empty"
    for beginning, text in _BEGINNINGS.items():
        if data.startswith(beginning):
            return text
    if data[4:8] == b"ftyp":
        is_heif = data[8:12] in _HEIF_BRANDS
        return "a HEIC: convert it to JPEG or PNG first" if is_heif else "a video, not an image"
    if data[:4] == b"RIFF":
        return "a sound or a video, not an image"
    if data[128:132] == b"DICM":
        return "a DICOM: export it as PNG first"
    head = data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(_LFS):
        return "a Git LFS pointer, not the file itself: fetch it with git lfs pull"
    if head.startswith(b"<") and b"<svg" in head.lower():
        return "an SVG: rasterise it first"
    if _HTML.search(head):
        return "an HTML page, not an image"
    if not any(data[:4096]):
        return "nothing but zero bytes: an unfinished download or copy"
    if words := _words(data[:1024]):
        return f"a text file, it begins with {words[:_SHOWN_CHARACTERS]!r}"
    begins = data[:_SHOWN_BYTES].hex(" ")
    return f"not an image in a format that OpenCV reads (it begins with the bytes {begins})"


def _words(data: bytes) -> str:
    """The characters, if they are UTF-8 without control characters."""
    try:
        # A character of several bytes may be cut at the end.
        text = data.decode(errors="strict" if len(data) < 1024 else "ignore").strip()
    except UnicodeDecodeError:
        return ""
    return text if all(c.isprintable() or c in "\r\n\t" for c in text) else ""
