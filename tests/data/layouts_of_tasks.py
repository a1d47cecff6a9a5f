"""Downloads with several labels, numbers or a mask for each image."""

from tests.helpers.layout_parts import ROADS, UIDS, UUIDS, Layout, image, pictures, rows

TASKS: dict[str, Layout] = {
    "plant-pathology-2021": Layout(
        files={
            **pictures("train_images/80.jpg", "train_images/85.jpg", "train_images/8a.jpg"),
            "train.csv": rows("image,labels", "80.jpg,scab", "85.jpg,rust scab", "8a.jpg,rust"),
        },
        options=("--label-separator", " "),
        task="multi-label",
        targets={
            "train_images/80.jpg": ("scab",),
            "train_images/85.jpg": ("rust", "scab"),
            "train_images/8a.jpg": ("rust",),
        },
    ),
    "protein-atlas": Layout(
        files={
            **pictures(*(f"train/{u}_{c}.png" for u in UUIDS for c in ("red", "green", "blue"))),
            "train.csv": rows("Id,Target", f"{UUIDS[0]},16 0", f"{UUIDS[1]},7", f"{UUIDS[2]},0 25"),
        },
        options=("--path-template", "{Id}_green.png"),
        task="multi-label",
        targets={
            f"train/{UUIDS[0]}_green.png": ("0", "16"),
            f"train/{UUIDS[1]}_green.png": ("7",),
            f"train/{UUIDS[2]}_green.png": ("0", "25"),
        },
        classes=("0", "7", "16", "25"),
    ),
    "deepglobe-roads": Layout(
        files={
            **pictures(
                *(
                    f"train/{n}_{kind}"
                    for n in (100034, 100081)
                    for kind in ("sat.jpg", "mask.png")
                ),
                "valid/100794_sat.jpg",
            ),
            "metadata.csv": rows(
                "image_id,split,sat_image_path,mask_path",
                "100034,train,train/100034_sat.jpg,train/100034_mask.png",
                "100081,train,train/100081_sat.jpg,train/100081_mask.png",
                "100794,valid,valid/100794_sat.jpg,",
            ),
            "class_dict.csv": rows("name,r,g,b", "road,255,255,255", "background,0,0,0"),
        },
        task="segmentation",
        unlabeled=("valid/100794_sat.jpg",),
        targets={f"train/{n}_sat.jpg": f"train/{n}_mask.png" for n in ROADS},
        classes=("road", "background"),
        output=(
            "Left out 1 row without a mask",
            "class_dict.csv gives the masks' classes and colors.",
        ),
    ),
    "deepglobe-roads, no table": Layout(
        files={
            **pictures(*(f"train/{n}_sat.jpg" for n in ROADS), "valid/100794_sat.jpg"),
            **{f"train/{n}_mask.png": image("mask.png", 255 * k) for k, n in enumerate(ROADS)},
        },
        task="segmentation",
        unlabeled=("valid/100794_sat.jpg",),
        targets={f"train/{n}_sat.jpg": f"train/{n}_mask.png" for n in ROADS},
        classes=("background", "foreground"),
    ),
    "massachusetts-roads": Layout(
        files={
            **pictures(
                *(f"tiff/{s}/{n}.tiff" for s, n in (("train", 1), ("train", 2), ("val", 3))),
                *(f"tiff/{s}_labels/{n}.tif" for s, n in (("train", 1), ("train", 2), ("val", 3))),
            )
        },
        task="segmentation",
        targets={
            "tiff/train/1.tiff": "tiff/train_labels/1.tif",
            "tiff/train/2.tiff": "tiff/train_labels/2.tif",
            "tiff/val/3.tiff": "tiff/val_labels/3.tif",
        },
        splits={"tiff/val/3.tiff": "val", "tiff/train/1.tiff": "train"},
    ),
    "massachusetts-roads, its table": Layout(
        files={
            **pictures("tiff/train/1.tiff", "tiff/train/2.tiff"),
            **pictures("tiff/train_labels/1.tif", "tiff/train_labels/2.tif"),
            "metadata.csv": rows(
                "image_id,split,tiff_image_path,tif_label_path",
                "1,train,tiff/train/1.tiff,tiff/train_labels/1.tif",
                "2,train,tiff/train/2.tiff,tiff/train_labels/2.tif",
                "9,train,tiff/train/9.tiff,tiff/train_labels/9.tif",
            ),
        },
        options=("--max-rejected", "1"),
        task="segmentation",
        targets={f"tiff/train/{n}.tiff": f"tiff/train_labels/{n}.tif" for n in (1, 2)},
        rejected=1,
    ),
    "ranzcr": Layout(
        files={
            **pictures(*(f"train/{uid}.jpg" for uid in UIDS)),
            "train.csv": rows(
                "StudyInstanceUID,ETT - Abnormal,ETT - Normal,NGT - Normal,PatientID",
                f"{UIDS[0]},0,0,1,ec89415d1",
                f"{UIDS[1]},1,0,1,bf4c6da3c",
            ),
        },
        task="multi-label",
        targets={
            f"train/{UIDS[0]}.jpg": ("NGT - Normal",),
            f"train/{UIDS[1]}.jpg": ("ETT - Abnormal", "NGT - Normal"),
        },
        classes=("ETT - Abnormal", "ETT - Normal", "NGT - Normal"),
    ),
    "petfinder": Layout(
        files={
            **pictures("train/0007de18844b0.jpg", "train/0009c66b9439.jpg"),
            "train.csv": rows(
                "Id,Subject Focus,Eyes,Pawpularity", "0007de18844b0,0,1,63", "0009c66b9439,0,1,42"
            ),
        },
        options=("--label-column", "Pawpularity", "--task", "regression"),
        task="regression",
        targets={"train/0007de18844b0.jpg": (63.0,), "train/0009c66b9439.jpg": (42.0,)},
    ),
}
