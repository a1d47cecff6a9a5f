"""make demo: from a Kaggle folder to a trained network and one figure."""

from pathlib import Path

from pipeline.errors import DataError


def write_digits(folder: Path) -> None:
    """Write the 1,797 digits of 8 x 8 px as ``train/<id>.png`` and ``train.csv`` (id,label).

    Source: scikit-learn's ``load_digits``, from the UCI set "Optical Recognition of Handwritten
    Digits"; its 17 gray levels are scaled to 0 to 255. Raises ``DataError`` without scikit-learn.
    """
    import cv2

    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise DataError(
            "The digits are part of scikit-learn, which is not installed: run `pip install -c "
            "constraints.txt -e '.[demo]'` in the repository."
        ) from error

    digits = load_digits()
    (folder / "train").mkdir(parents=True)
    rows = ["id,label"]
    for number, (image, label) in enumerate(zip(digits.images, digits.target, strict=True), 1):
        pixels = (image * (255 / 16)).round().astype("uint8")
        cv2.imwrite(str(folder / "train" / f"{number}.png"), pixels)
        rows.append(f"{number},{label}")
    (folder / "train.csv").write_text("\n".join(rows) + "\n")
