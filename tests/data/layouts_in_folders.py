"""Downloads whose classes are folders, zips or parts of file names."""

from tests.helpers.downloads import packed
from tests.helpers.layout_parts import WNIDS, Layout, pictures, rows

FOLDERS: dict[str, Layout] = {
    "plant-seedlings": Layout(
        files=pictures("train/Black-grass/a.png", "train/Maize/b.png", "test/c.png"),
        unlabeled=("test/c.png",),
        targets={"train/Black-grass/a.png": "Black-grass", "train/Maize/b.png": "Maize"},
    ),
    "dogs-vs-cats": Layout(
        files=pictures(
            *(f"train/{word}.{n}.jpg" for word in ("cat", "dog") for n in (0, 10)), "test1/1.jpg"
        ),
        unlabeled=("test1/1.jpg",),
        targets={f"train/{word}.{n}.jpg": word for word in ("cat", "dog") for n in (0, 10)},
        output=("labels in file names",),
    ),
    "dogs-vs-cats, with --label-pattern": Layout(
        files=pictures("train/cat.0.jpg", "train/dog.0.jpg"),
        options=("--label-pattern", r"(\w+)\.\d+\.jpg"),
        targets={"train/cat.0.jpg": "cat", "train/dog.0.jpg": "dog"},
    ),
    "alaska2": Layout(
        files=pictures(*(f"{kind}/0000{n}.jpg" for kind in ("Cover", "JMiPOD") for n in (1, 2))),
        targets={f"{kind}/0000{n}.jpg": kind for kind in ("Cover", "JMiPOD") for n in (1, 2)},
    ),
    "intel-images": Layout(
        files=pictures(
            *(
                f"seg_{s}/seg_{s}/{c}/{s}_{n}.jpg"
                for s in ("train", "test")
                for c in ("sea", "street")
                for n in (1, 2)
            ),
            "seg_pred/seg_pred/3.jpg",
        ),
        unlabeled=("seg_pred/seg_pred/3.jpg",),
        targets={
            f"seg_{s}/seg_{s}/{c}/{s}_{n}.jpg": c
            for s in ("train", "test")
            for c in ("sea", "street")
            for n in (1, 2)
        },
        splits={"seg_test/seg_test/sea/test_1.jpg": "test"},
        output=("1 test image without labels is stored without a target",),
    ),
    "fruits-360": Layout(
        files=pictures(
            *(f"fruits/{s}/{c}/0_100.jpg" for s in ("Training", "Test") for c in ("Fig 1", "Kiwi"))
        ),
        targets={
            f"fruits/{s}/{c}/0_100.jpg": c for s in ("Training", "Test") for c in ("Fig 1", "Kiwi")
        },
        splits={"fruits/Test/Kiwi/0_100.jpg": "test"},
    ),
    "tiny-imagenet": Layout(
        files={
            **pictures(
                *(f"train/{w}/images/{w}_{n}.JPEG" for w in WNIDS for n in (0, 1)),
                *(f"val/images/val_{n}.JPEG" for n in (0, 1)),
                "test/images/test_0.JPEG",
            ),
            "val/val_annotations.txt": rows(
                f"val_0.JPEG\t{WNIDS[0]}\t0\t32\t44\t62", f"val_1.JPEG\t{WNIDS[1]}\t52\t55\t57\t59"
            ),
            **{f"train/{w}/{w}_boxes.txt": rows(f"{w}_0.JPEG\t0\t10\t63\t58") for w in WNIDS},
            "wnids.txt": rows(*WNIDS),
            "words.txt": rows(f"{WNIDS[0]}\ttench", f"{WNIDS[1]}\tgoldfish"),
        },
        unlabeled=("test/images/test_0.JPEG",),
        targets={
            **{
                f"train/{w}/images/{w}_{n}.JPEG": name
                for w, name in zip(WNIDS, ("tench", "goldfish"), strict=True)
                for n in (0, 1)
            },
            "val/images/val_0.JPEG": "tench",
            "val/images/val_1.JPEG": "goldfish",
        },
        splits={"val/images/val_0.JPEG": "val", "train/n01440764/images/n01440764_0.JPEG": "train"},
    ),
    "a zip for each class": Layout(
        files={
            f"{name}.zip": packed(pictures(f"{name}/1.png", f"{name}/2.png"))
            for name in ("cats", "dogs")
        },
        targets={f"{c}.zip/{c}/{n}.png": c for c in ("cats", "dogs") for n in (1, 2)},
    ),
}
