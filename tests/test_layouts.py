"""The layouts of Kaggle downloads, each made small by code, through a dry run and the real one."""

import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as parquet
import pytest
from click.testing import CliRunner, Result

from pipeline.dataset import Dataset, SplitIndex
from pipeline.manifest import Manifest, sources_name
from tools.cli import main
from tools.config import ShardConfig
from tools.download.files import index_files
from tools.download.gathering import gather_files
from tools.download.kaggle import find_parts
from tools.download.sources import Sources
from tools.pixel_tables.tables import PixelTable

Files = dict[str, str | bytes]


def image(name: str, shade: int = 0) -> bytes:
    """A small picture of the format that the name says."""
    pixels = np.full((8, 8, 3), shade % 256, np.uint8)
    suffix = Path(name).suffix.lower().replace(".jpeg", ".jpg")
    return bytes(cv2.imencode(suffix, pixels)[1])


def pictures(*names: str) -> Files:
    return {name: image(name, 40 + shade) for shade, name in enumerate(names)}


def packed(files: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def write(folder: Path, files: Files) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return folder


def rows(header: str, *lines: str) -> str:
    return "\n".join([header, *lines]) + "\n"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """`found`: file (or row of a pixel table) -> label, labels, numbers or mask. `splits`: file ->
    split, where the download says it. `rejected` sources are counted."""

    files: Files
    found: dict[str, Any]
    options: tuple[str, ...] = ()
    task: str = "classification"
    splits: dict[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] | None = None
    rejected: int = 0
    said: tuple[str, ...] = ()


def numbered(folder: str, suffix: str, count: int = 4) -> list[str]:
    return [f"{folder}/{n}{suffix}" for n in range(1, count + 1)]


ROADS = (100034, 100081)
UUIDS = ("00070df0-bbc3", "000a6c98-bb9b", "000a9596-bbc4")
WNIDS = ("n01440764", "n01443537")
UIDS = ("1.2.826.0.1.3680043.8.498.2669", "1.2.826.0.1.3680043.8.498.4696")

LAYOUTS: dict[str, Layout] = {
    "cifar-10": Layout(
        files={
            **pictures(*numbered("train", ".png"), *numbered("test", ".png", 2)),
            "trainLabels.csv": rows("id,label", "1,frog", "2,truck", "3,truck", "4,deer"),
            "sampleSubmission.csv": rows("id,label", "1,cat", "2,cat"),
        },
        found={
            "train/1.png": "frog",
            "train/2.png": "truck",
            "train/3.png": "truck",
            "train/4.png": "deer",
        },
        said=("2 images without a label",),
    ),
    "imagenet": Layout(
        files={
            **pictures(
                *(f"ILSVRC/Data/CLS-LOC/train/{w}/{w}_{n}.JPEG" for w in WNIDS for n in (1, 2)),
                *(f"ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_0000000{n}.JPEG" for n in (1, 2)),
            ),
            "LOC_train_solution.csv": rows(
                "ImageId,PredictionString",
                *(f"{w}_{n},{w} 1 2 30 40 {w} 5 6 7 8 " for w in WNIDS for n in (1, 2)),
            ),
            "LOC_val_solution.csv": rows(
                "ImageId,PredictionString",
                f"ILSVRC2012_val_00000001,{WNIDS[0]} 85 1 499 272 ",
                f"ILSVRC2012_val_00000002,{WNIDS[1]} 0 0 9 9 ",
            ),
            "LOC_synset_mapping.txt": rows(
                "n01443537 goldfish, Carassius auratus", "n01440764 tench, Tinca tinca"
            ),
        },
        options=("--class-names", "LOC_synset_mapping.txt"),
        found={
            **{
                f"ILSVRC/Data/CLS-LOC/train/{w}/{w}_{n}.JPEG": name
                for w, name in zip(
                    WNIDS,
                    ("tench, Tinca tinca", "goldfish, Carassius auratus"),
                    strict=True,
                )
                for n in (1, 2)
            },
            "ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000001.JPEG": "tench, Tinca tinca",
            "ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000002.JPEG": "goldfish, Carassius auratus",
        },
        splits={"ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000001.JPEG": "val"},
        classes=("goldfish, Carassius auratus", "tench, Tinca tinca"),
    ),
    "aptos2019": Layout(
        files={
            **pictures("train_images/000c1434d8d7.png", "train_images/001639a390f0.png"),
            "train.csv": rows("id_code,diagnosis", "000c1434d8d7,2", "001639a390f0,4"),
        },
        found={"train_images/000c1434d8d7.png": "2", "train_images/001639a390f0.png": "4"},
    ),
    "cassava": Layout(
        files={
            **pictures("train_images/1000015157.jpg", "train_images/1000201771.jpg"),
            "train_tfrecords/ld_train00-1338.tfrec": b"x",
            "train.csv": rows("image_id,label", "1000015157.jpg,0", "1000201771.jpg,3"),
            "label_num_to_disease_map.json": '{"0": "CBB", "1": "CBSD", "3": "CMD"}',
        },
        options=("--class-names", "label_num_to_disease_map.json"),
        found={"train_images/1000015157.jpg": "CBB", "train_images/1000201771.jpg": "CMD"},
        classes=("CBB", "CBSD", "CMD"),
    ),
    "dog-breed": Layout(
        files={
            **pictures("train/000bec180eb18c.jpg", "train/001513dfcb2ffa.jpg", "test/0003837.jpg"),
            "labels.csv": rows("id,breed", "000bec180eb18c,boston_bull", "001513dfcb2ffa,dingo"),
        },
        found={"train/000bec180eb18c.jpg": "boston_bull", "train/001513dfcb2ffa.jpg": "dingo"},
    ),
    "plant-pathology-2020": Layout(
        files={
            **pictures("images/Train_0.jpg", "images/Train_1.jpg", "images/Test_0.jpg"),
            "train.csv": rows("image_id,healthy,rust,scab", "Train_0,0,0,1", "Train_1,1,0,0"),
            "test.csv": rows("image_id", "Test_0"),
            "sample_submission.csv": rows("image_id,healthy,rust,scab", "Test_0,0.2,0.3,0.5"),
        },
        found={"images/Train_0.jpg": "scab", "images/Train_1.jpg": "healthy"},
    ),
    "plant-pathology-2021": Layout(
        files={
            **pictures("train_images/80.jpg", "train_images/85.jpg", "train_images/8a.jpg"),
            "train.csv": rows("image,labels", "80.jpg,scab", "85.jpg,rust scab", "8a.jpg,rust"),
        },
        options=("--label-separator", " "),
        task="multi-label",
        found={
            "train_images/80.jpg": ("scab",),
            "train_images/85.jpg": ("rust", "scab"),
            "train_images/8a.jpg": ("rust",),
        },
    ),
    "plant-seedlings": Layout(
        files=pictures("train/Black-grass/a.png", "train/Maize/b.png", "test/c.png"),
        found={
            "train/Black-grass/a.png": "Black-grass",
            "train/Maize/b.png": "Maize",
        },
    ),
    "histopathologic-cancer": Layout(
        files={
            **pictures("train/f38a6374c348f9.tif", "train/c18f2d887b7ae4.tif"),
            "train_labels.csv": rows("id,label", "f38a6374c348f9,0", "c18f2d887b7ae4,1"),
        },
        found={"train/f38a6374c348f9.tif": "0", "train/c18f2d887b7ae4.tif": "1"},
    ),
    "aerial-cactus": Layout(
        files={
            "train.zip": packed(pictures("train/0004be2c.jpg", "train/000c8a36.jpg")),
            "test.zip": packed(pictures("test/000940378.jpg")),
            "train.csv": rows("id,has_cactus", "0004be2c.jpg,1", "000c8a36.jpg,0"),
        },
        found={"train.zip/train/0004be2c.jpg": "1", "train.zip/train/000c8a36.jpg": "0"},
    ),
    "dogs-vs-cats": Layout(
        files=pictures(
            *(f"train/{word}.{n}.jpg" for word in ("cat", "dog") for n in (0, 10)), "test1/1.jpg"
        ),
        found={f"train/{word}.{n}.jpg": word for word in ("cat", "dog") for n in (0, 10)},
        said=("labels in file names",),
    ),
    "dogs-vs-cats, told": Layout(
        files=pictures("train/cat.0.jpg", "train/dog.0.jpg"),
        options=("--label-pattern", r"(\w+)\.\d+\.jpg"),
        found={"train/cat.0.jpg": "cat", "train/dog.0.jpg": "dog"},
    ),
    "diabetic-retinopathy": Layout(
        files={
            "train.zip": packed(pictures("train/10_left.jpeg", "train/10_right.jpeg"), 0),
            "trainLabels.csv.zip": packed(
                {"trainLabels.csv": rows("image,level", "10_left,0", "10_right,3")}
            ),
        },
        found={"train.zip/train/10_left.jpeg": "0", "train.zip/train/10_right.jpeg": "3"},
    ),
    "protein-atlas": Layout(
        files={
            **pictures(*(f"train/{u}_{c}.png" for u in UUIDS for c in ("red", "green", "blue"))),
            "train.csv": rows("Id,Target", f"{UUIDS[0]},16 0", f"{UUIDS[1]},7", f"{UUIDS[2]},0 25"),
        },
        options=("--path-template", "{Id}_green.png"),
        task="multi-label",
        found={
            f"train/{UUIDS[0]}_green.png": ("0", "16"),
            f"train/{UUIDS[1]}_green.png": ("7",),
            f"train/{UUIDS[2]}_green.png": ("0", "25"),
        },
        classes=("0", "7", "16", "25"),
    ),
    "ham10000": Layout(
        files={
            **pictures("HAM10000_images_part_1/ISIC_01.jpg", "HAM10000_images_part_2/ISIC_02.jpg"),
            "HAM10000_metadata.csv": rows(
                "lesion_id,image_id,dx,dx_type,age,sex,localization",
                "HAM_1,ISIC_01,bkl,histo,80.0,male,scalp",
                "HAM_1,ISIC_02,nv,histo,,male,scalp",
            ),
        },
        options=("--label-column", "dx"),
        found={
            "HAM10000_images_part_1/ISIC_01.jpg": "bkl",
            "HAM10000_images_part_2/ISIC_02.jpg": "nv",
        },
        said=("--group-column lesion_id",),
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
        found={f"train/{n}_sat.jpg": f"train/{n}_mask.png" for n in ROADS},
        classes=("road", "background"),
        said=(
            "1 row without a mask left out",
            "The masks' classes and colours are those of class_dict.csv.",
        ),
    ),
    "deepglobe-roads, no table": Layout(
        files=pictures(
            *(f"train/{n}_{kind}" for n in ROADS for kind in ("sat.jpg", "mask.png")),
            "valid/100794_sat.jpg",
        ),
        task="segmentation",
        found={f"train/{n}_sat.jpg": f"train/{n}_mask.png" for n in ROADS},
        classes=("background", "foreground"),
    ),
    "massachusetts-roads": Layout(
        files={
            **pictures(
                *(f"tiff/{s}/{n}.tiff" for s, n in (("train", 1), ("train", 2), ("val", 3))),
                *(f"tiff/{s}_labels/{n}.tif" for s, n in (("train", 1), ("train", 2), ("val", 3))),
            ),
        },
        task="segmentation",
        found={
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
        found={f"tiff/train/{n}.tiff": f"tiff/train_labels/{n}.tif" for n in (1, 2)},
        rejected=1,
    ),
    "state-farm": Layout(
        files={
            **pictures("imgs/train/c0/img_44733.jpg", "imgs/train/c1/img_72999.jpg"),
            **pictures("imgs/test/img_1.jpg"),
            "driver_imgs_list.csv": rows(
                "subject,classname,img", "p002,c0,img_44733.jpg", "p012,c1,img_72999.jpg"
            ),
        },
        options=("--path-template", "{classname}/{img}", "--group-column", "subject"),
        found={"imgs/train/c0/img_44733.jpg": "c0", "imgs/train/c1/img_72999.jpg": "c1"},
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
        found={
            f"train/{UIDS[0]}.jpg": ("NGT - Normal",),
            f"train/{UIDS[1]}.jpg": ("ETT - Abnormal", "NGT - Normal"),
        },
        classes=("ETT - Abnormal", "ETT - Normal", "NGT - Normal"),
    ),
    "siim-melanoma": Layout(
        files={
            **pictures("jpeg/train/ISIC_1.jpg", "jpeg/train/ISIC_2.jpg", "jpeg/test/ISIC_3.jpg"),
            "train.csv": rows(
                "image_name,patient_id,sex,benign_malignant,target",
                "ISIC_1,IP_1,male,benign,0",
                "ISIC_2,IP_2,,malignant,1",
            ),
        },
        options=("--label-column", "target", "--group-column", "patient_id"),
        found={"jpeg/train/ISIC_1.jpg": "0", "jpeg/train/ISIC_2.jpg": "1"},
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
        found={"train/0007de18844b0.jpg": (63.0,), "train/0009c66b9439.jpg": (42.0,)},
    ),
    "paddy": Layout(
        files={
            **pictures("train_images/blast/100330.jpg", "train_images/hispa/1.jpg"),
            "train.csv": rows(
                "image_id,label,variety,age", "100330.jpg,blast,ADT45,45", "1.jpg,hispa,IR,60"
            ),
        },
        found={
            "train_images/blast/100330.jpg": "blast",
            "train_images/hispa/1.jpg": "hispa",
        },
    ),
    "bms-molecular": Layout(
        files={
            **pictures("train/0/0/0/000011a64c74.png", "train/0/0/1/001111a64c75.png"),
            "train_labels.csv": rows(
                "image_id,InChI",
                '000011a64c74,"InChI=1S/C13H20OS/c1-9(2)8-15-13,6-5"',
                '001111a64c75,"InChI=1S/C21H30O4/c1-12(22)25-14,3"',
            ),
        },
        options=("--path-template", "{image_id[0]}/{image_id[1]}/{image_id[2:3]}/{image_id}.png"),
        found={
            "train/0/0/0/000011a64c74.png": "InChI=1S/C13H20OS/c1-9(2)8-15-13,6-5",
            "train/0/0/1/001111a64c75.png": "InChI=1S/C21H30O4/c1-12(22)25-14,3",
        },
    ),
    "alaska2": Layout(
        files=pictures(*(f"{kind}/0000{n}.jpg" for kind in ("Cover", "JMiPOD") for n in (1, 2))),
        found={f"{kind}/0000{n}.jpg": kind for kind in ("Cover", "JMiPOD") for n in (1, 2)},
    ),
    "iwildcam": Layout(
        files={
            **pictures("train_images/5998cfa4.jpg", "train_images/588a679f.jpg"),
            "train.csv": rows(
                "category_id,date_captured,file_name,rights_holder,id",
                "19,2011-05-13,5998cfa4.jpg,Justin,5998cfa4",
                "0,2011-03-17,588a679f.jpg,Justin,588a679f",
                "0,2011-03-17,59279ce3.jpg,Justin,59279ce3",
            ),
        },
        options=("--label-column", "category_id", "--max-rejected", "1"),
        found={"train_images/5998cfa4.jpg": "19", "train_images/588a679f.jpg": "0"},
        rejected=1,
    ),
    "whale": Layout(
        files={
            **pictures("train/0000e88ab.jpg", "train/0001f9222.jpg"),
            "train.csv": rows("Image,Id", "0000e88ab.jpg,w_f48451c", "0001f9222.jpg,new_whale"),
        },
        found={"train/0000e88ab.jpg": "w_f48451c", "train/0001f9222.jpg": "new_whale"},
    ),
    "chinese-mnist": Layout(
        files={
            **pictures("data/data/input_1_1_10.jpg", "data/data/input_1_2_11.jpg"),
            "chinese_mnist.csv": rows(
                "suite_id,sample_id,code,value,character", "1,1,10,9,九", "1,2,11,10,十"
            ),
        },
        options=(
            *("--path-template", "input_{suite_id}_{sample_id}_{code}.jpg"),
            *("--label-column", "character"),
        ),
        found={"data/data/input_1_1_10.jpg": "九", "data/data/input_1_2_11.jpg": "十"},
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
        found={
            f"seg_{s}/seg_{s}/{c}/{s}_{n}.jpg": c
            for s in ("train", "test")
            for c in ("sea", "street")
            for n in (1, 2)
        },
        splits={"seg_test/seg_test/sea/test_1.jpg": "val"},
        said=("1 image without a label left out (first: seg_pred/seg_pred/3.jpg)",),
    ),
    "fruits-360": Layout(
        files=pictures(
            *(f"fruits/{s}/{c}/0_100.jpg" for s in ("Training", "Test") for c in ("Fig 1", "Kiwi"))
        ),
        found={
            f"fruits/{s}/{c}/0_100.jpg": c for s in ("Training", "Test") for c in ("Fig 1", "Kiwi")
        },
        splits={"fruits/Test/Kiwi/0_100.jpg": "val"},
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
        found={
            **{f"train/{w}/images/{w}_{n}.JPEG": w for w in WNIDS for n in (0, 1)},
            "val/images/val_0.JPEG": WNIDS[0],
            "val/images/val_1.JPEG": WNIDS[1],
        },
        splits={"val/images/val_0.JPEG": "val", "train/n01440764/images/n01440764_0.JPEG": "train"},
    ),
    "a zip for each class": Layout(
        files={
            f"{name}.zip": packed(pictures(f"{name}/1.png", f"{name}/2.png"))
            for name in ("cats", "dogs")
        },
        found={f"{c}.zip/{c}/{n}.png": c for c in ("cats", "dogs") for n in (1, 2)},
    ),
    "splits in a column": Layout(
        files={
            **pictures(*numbered("images", ".jpg")),
            "meta.csv": rows(
                "path,breed,is_valid",
                "images/1.jpg,pug,False",
                "images/2.jpg,pug,True",
                "images/3.jpg,lab,False",
                "images/4.jpg,lab,True",
            ),
        },
        found={f"images/{n}.jpg": "pug" if n < 3 else "lab" for n in range(1, 5)},
        splits={f"images/{n}.jpg": "train" if n % 2 else "val" for n in range(1, 5)},
    ),
    "prefix from elsewhere": Layout(
        files={
            **pictures("data/train/1.png", "data/train/2.png", "data/test/1.png"),
            "list.csv": rows("file,y", "/home/me/train/1.png,a", "C:\\me\\train\\2.png,b"),
        },
        found={"data/train/1.png": "a", "data/train/2.png": "b"},
    ),
    "digit-recognizer": Layout(
        files={
            "train.csv": rows(
                ",".join(["label", *(f"pixel{n}" for n in range(16))]),
                *(",".join(map(str, [label, *range(16)])) for label in (1, 0, 1)),
            ),
            "test.csv": rows(
                ",".join(f"pixel{n}" for n in range(16)), ",".join(map(str, range(16)))
            ),
        },
        found={"train.csv row 2": "1", "train.csv row 3": "0", "train.csv row 4": "1"},
    ),
}


def run(src: Path, out: Path, *options: str) -> Result:
    arguments = ["--src", str(src), "--out", str(out), "--workers", "1", *options]
    result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def config_of(src: Path, options: tuple[str, ...]) -> ShardConfig:
    """As the command makes it."""
    context = main.make_context("shard", ["--src", str(src), "--out", "out", *options])
    return ShardConfig(**context.params)


def gathered(src: Path, options: tuple[str, ...]) -> Sources | None:
    """The sources of image files; None of a pixel table."""
    from tools.download.class_names import name_classes, read_class_names

    config = config_of(src, options)
    index = index_files(str(src), images=config.images)
    parts = find_parts(index, config)
    if isinstance(parts[0], PixelTable):
        return None
    sources = gather_files(parts, index)  # type: ignore[arg-type]
    if config.class_names is None:
        return sources
    return name_classes(sources, read_class_names(index, config.class_names))


def shown(sources: Sources, number: int) -> Any:
    if sources.masks is not None:
        return sources.masks.paths[number]  # type: ignore[attr-defined]
    if sources.targets is None:
        return sources.classes[sources.labels[number]]
    row = sources.targets[number].tolist()
    if sources.task == "regression":
        return tuple(row)
    return tuple(name for name, value in zip(sources.classes, row, strict=True) if value)


@pytest.mark.parametrize("name", LAYOUTS)
def test_layout(tmp_path: Path, name: str) -> None:
    layout = LAYOUTS[name]
    src, out = write(tmp_path / "src", layout.files), tmp_path / "out"
    sources = gathered(src, layout.options)
    if sources is not None:
        check_sources(sources, layout)
    dry = run(src, out, "--dry-run", *layout.options)
    assert dry.exit_code == 0 and not out.exists(), dry.output
    assert all(sentence in dry.output for sentence in layout.said), dry.output
    first = next(iter(layout.found))
    assert first in dry.output, dry.output
    made = run(src, out, *layout.options)
    assert made.exit_code == 0, made.output
    check_shards(out, layout)


def check_sources(sources: Sources, layout: Layout) -> None:
    assert sources.task == layout.task
    found = {path: shown(sources, number) for number, path in enumerate(sources.names)}
    assert found == layout.found
    assert len(sources.rejected) == layout.rejected, sources.rejected
    if layout.classes is not None and sources.ordered:
        assert sources.classes == layout.classes
    assert (sources.splits is not None) == bool(layout.splits)


def stored(index: SplitIndex, manifest: Manifest, number: int) -> Any:
    """The label or target of a sample; None for a mask, which is checked here."""
    row = index.samples[number]
    if manifest.task == "classification":
        return manifest.classes[row["label"]]
    if manifest.task == "segmentation":
        place = index.masks[number]
        tar = (index.directory / index.split.shards[row["shard"]].name).read_bytes()
        data = tar[place["offset"] : place["offset"] + place["size"]]
        mask = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        assert mask.shape == (row["height"], row["width"])
        assert mask.max() < len(manifest.classes)
        return None
    target = index.targets[number].tolist()
    if manifest.task == "regression":
        assert len(manifest.targets) == len(target)
        return tuple(target)
    return tuple(name for name, value in zip(manifest.classes, target, strict=True) if value)


def check_shards(out: Path, layout: Layout) -> None:
    dataset = Dataset(out)
    manifest = dataset.manifest
    assert manifest.task == layout.task
    found, splits = {}, {}
    for split in manifest.splits:
        index = dataset.split(split)
        names = parquet.read_table(out / sources_name(split)).column("source").to_pylist()
        for number, name in enumerate(names):
            found[name] = stored(index, manifest, number) or layout.found[name]
            splits[name] = split
    assert found == layout.found
    assert {name: splits[name] for name in layout.splits} == layout.splits
    assert dataset.manifest.rejected == layout.rejected
    if layout.classes is not None:
        assert dataset.manifest.classes == layout.classes
