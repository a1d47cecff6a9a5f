"""Downloads whose classes are in a table."""

from tests.helpers.downloads import packed
from tests.helpers.layout_parts import WNIDS, Layout, numbered, pictures, rows

TABLES: dict[str, Layout] = {
    "cifar-10": Layout(
        files={
            **pictures(*numbered("train", ".png"), *numbered("test", ".png", 2)),
            "trainLabels.csv": rows("id,label", "1,frog", "2,truck", "3,truck", "4,deer"),
            "sampleSubmission.csv": rows("id,label", "1,cat", "2,cat"),
        },
        unlabeled=("test/1.png", "test/2.png"),
        targets={
            "train/1.png": "frog",
            "train/2.png": "truck",
            "train/3.png": "truck",
            "train/4.png": "deer",
        },
        output=("2 test images without labels",),
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
        targets={
            **{
                f"ILSVRC/Data/CLS-LOC/train/{w}/{w}_{n}.JPEG": name
                for w, name in zip(
                    WNIDS, ("tench, Tinca tinca", "goldfish, Carassius auratus"), strict=True
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
        targets={"train_images/000c1434d8d7.png": "2", "train_images/001639a390f0.png": "4"},
    ),
    "cassava": Layout(
        files={
            **pictures("train_images/1000015157.jpg", "train_images/1000201771.jpg"),
            "train_tfrecords/ld_train00-1338.tfrec": b"x",
            "train.csv": rows("image_id,label", "1000015157.jpg,0", "1000201771.jpg,3"),
            "label_num_to_disease_map.json": '{"0": "CBB", "1": "CBSD", "3": "CMD"}',
        },
        options=("--class-names", "label_num_to_disease_map.json"),
        targets={"train_images/1000015157.jpg": "CBB", "train_images/1000201771.jpg": "CMD"},
        classes=("CBB", "CBSD", "CMD"),
    ),
    "dog-breed": Layout(
        files={
            **pictures("train/000bec180eb18c.jpg", "train/001513dfcb2ffa.jpg", "test/0003837.jpg"),
            "labels.csv": rows("id,breed", "000bec180eb18c,boston_bull", "001513dfcb2ffa,dingo"),
        },
        unlabeled=("test/0003837.jpg",),
        targets={"train/000bec180eb18c.jpg": "boston_bull", "train/001513dfcb2ffa.jpg": "dingo"},
    ),
    "plant-pathology-2020": Layout(
        files={
            **pictures("images/Train_0.jpg", "images/Train_1.jpg", "images/Test_0.jpg"),
            "train.csv": rows("image_id,healthy,rust,scab", "Train_0,0,0,1", "Train_1,1,0,0"),
            "test.csv": rows("image_id", "Test_0"),
            "sample_submission.csv": rows("image_id,healthy,rust,scab", "Test_0,0.2,0.3,0.5"),
        },
        unlabeled=("images/Test_0.jpg",),
        targets={"images/Train_0.jpg": "scab", "images/Train_1.jpg": "healthy"},
    ),
    "histopathologic-cancer": Layout(
        files={
            **pictures("train/f38a6374c348f9.tif", "train/c18f2d887b7ae4.tif"),
            "train_labels.csv": rows("id,label", "f38a6374c348f9,0", "c18f2d887b7ae4,1"),
        },
        targets={"train/f38a6374c348f9.tif": "0", "train/c18f2d887b7ae4.tif": "1"},
    ),
    "aerial-cactus": Layout(
        files={
            "train.zip": packed(pictures("train/0004be2c.jpg", "train/000c8a36.jpg")),
            "test.zip": packed(pictures("test/000940378.jpg")),
            "train.csv": rows("id,has_cactus", "0004be2c.jpg,1", "000c8a36.jpg,0"),
        },
        unlabeled=("test.zip/test/000940378.jpg",),
        targets={"train.zip/train/0004be2c.jpg": "1", "train.zip/train/000c8a36.jpg": "0"},
    ),
    "diabetic-retinopathy": Layout(
        files={
            "train.zip": packed(pictures("train/10_left.jpeg", "train/10_right.jpeg"), 0),
            "trainLabels.csv.zip": packed(
                {"trainLabels.csv": rows("image,level", "10_left,0", "10_right,3")}
            ),
        },
        targets={"train.zip/train/10_left.jpeg": "0", "train.zip/train/10_right.jpeg": "3"},
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
        targets={
            "HAM10000_images_part_1/ISIC_01.jpg": "bkl",
            "HAM10000_images_part_2/ISIC_02.jpg": "nv",
        },
        output=("--group-column lesion_id",),
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
        unlabeled=("imgs/test/img_1.jpg",),
        targets={"imgs/train/c0/img_44733.jpg": "c0", "imgs/train/c1/img_72999.jpg": "c1"},
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
        unlabeled=("jpeg/test/ISIC_3.jpg",),
        targets={"jpeg/train/ISIC_1.jpg": "0", "jpeg/train/ISIC_2.jpg": "1"},
    ),
    "paddy": Layout(
        files={
            **pictures("train_images/blast/100330.jpg", "train_images/hispa/1.jpg"),
            "train.csv": rows(
                "image_id,label,variety,age", "100330.jpg,blast,ADT45,45", "1.jpg,hispa,IR,60"
            ),
        },
        targets={"train_images/blast/100330.jpg": "blast", "train_images/hispa/1.jpg": "hispa"},
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
        targets={
            "train/0/0/0/000011a64c74.png": "InChI=1S/C13H20OS/c1-9(2)8-15-13,6-5",
            "train/0/0/1/001111a64c75.png": "InChI=1S/C21H30O4/c1-12(22)25-14,3",
        },
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
        targets={"train_images/5998cfa4.jpg": "19", "train_images/588a679f.jpg": "0"},
        rejected=1,
    ),
    "whale": Layout(
        files={
            **pictures("train/0000e88ab.jpg", "train/0001f9222.jpg"),
            "train.csv": rows("Image,Id", "0000e88ab.jpg,w_f48451c", "0001f9222.jpg,new_whale"),
        },
        targets={"train/0000e88ab.jpg": "w_f48451c", "train/0001f9222.jpg": "new_whale"},
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
        targets={"data/data/input_1_1_10.jpg": "九", "data/data/input_1_2_11.jpg": "十"},
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
        targets={f"images/{n}.jpg": "pug" if n < 3 else "lab" for n in range(1, 5)},
        splits={f"images/{n}.jpg": "train" if n % 2 else "val" for n in range(1, 5)},
    ),
    "prefix from elsewhere": Layout(
        files={
            **pictures("data/train/1.png", "data/train/2.png", "data/test/1.png"),
            "list.csv": rows("file,y", "/home/me/train/1.png,a", "C:\\me\\train\\2.png,b"),
        },
        unlabeled=("data/test/1.png",),
        targets={"data/train/1.png": "a", "data/train/2.png": "b"},
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
        unlabeled=("test.csv row 2",),
        targets={"train.csv row 2": "1", "train.csv row 3": "0", "train.csv row 4": "1"},
    ),
}
