"""Formats of images that OpenCV does not read, and what makes them readable."""

from collections.abc import Mapping

from pipeline.text import plural

_MAGICK = "Convert them with ImageMagick: mogrify -format {target} *{suffix}"
_RAW = ("the raw data of cameras", "Develop them with RawTherapee: rawtherapee-cli -j95 -c FOLDER")
_SLIDE = (
    "whole slides of microscopes",
    "Cut them into tiles with OpenSlide (pip install openslide-python)",
)
_VOLUME = ("medical volumes", "Save its slices as PNG with SimpleITK (pip install SimpleITK)")
_HEIC = (
    "HEIC",
    _MAGICK.replace("{target}", "jpg") + ", or with pillow-heif (pip install pillow-heif)",
)
# Suffix -> the format, and advice.
UNREADABLE_FORMATS = {
    ".heic": _HEIC,
    ".heif": _HEIC,
    **dict.fromkeys((".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".rw2", ".orf"), _RAW),
    ".dcm": (
        "DICOM",
        "Export them as PNG with DCMTK: dcmj2pnm +on FILE.dcm FILE.png, or with pydicom "
        "(pip install pydicom)",
    ),
    ".dicom": ("DICOM", "Export them as PNG with DCMTK: dcmj2pnm +on FILE.dicom FILE.png"),
    ".svg": ("SVG", "Render them with librsvg: rsvg-convert FILE.svg -o FILE.png"),
    ".psd": ("Photoshop documents", "Export them with ImageMagick: convert 'F.psd[0]' F.png"),
    ".jxl": ("JPEG XL", "Convert them with libjxl: djxl FILE.jxl FILE.png"),
    ".tga": ("Targa", _MAGICK.replace("{target}", "png")),
    ".ico": ("icons", "Convert them with ImageMagick: convert 'FILE.ico[0]' FILE.png"),
    **dict.fromkeys(
        (".tfrec", ".tfrecord", ".tfrecords"),
        ("TFRecords", "Write their images as files with tfrecord (pip install tfrecord)"),
    ),
    ".mat": ("MATLAB files", "Save what they hold as CSV or NPZ with scipy.io.loadmat"),
    **dict.fromkeys((".svs", ".ndpi", ".mrxs"), _SLIDE),
    **dict.fromkeys((".nii", ".nrrd", ".mha"), _VOLUME),
}  # fmt: skip


def unreadable_suffix(path: str, suffix: str) -> str | None:
    """The suffix in UNREADABLE_FORMATS of a file that ends in `suffix`; None for other files."""
    if path.lower().endswith(".nii.gz"):
        return ".nii"
    return suffix if suffix in UNREADABLE_FORMATS else None


def describe_unreadable(counts: Mapping[str, int]) -> list[str]:
    """A sentence for each suffix of UNREADABLE_FORMATS with the number of its files, the most
    frequent first: what they are and what to install or run."""
    sentences = []
    for suffix, count in sorted(counts.items(), key=lambda item: -item[1]):
        kind, advice = UNREADABLE_FORMATS[suffix]
        sentences.append(
            f"Left out {plural(count, f'{suffix} file')}: OpenCV does not read {kind}. "
            f"{advice.format(suffix=suffix)}."
        )
    return sentences
