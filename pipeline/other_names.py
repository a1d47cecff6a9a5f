"""Names and values of options that other programs have taught, and what they are here.

Sources: train.py of pytorch-image-models 1.0, references/classification/train.py of torchvision,
TrainingArguments of transformers, the Trainer of Lightning, the settings of ultralytics, and
ImageDataGenerator of Keras.
"""

from dataclasses import dataclass

# Some commands have options of these meanings, the trainer has others.
BATCH_NAMES = (
    *("--batch-size", "-b", "--batch", "--bs", "--train-batch-size", "--val-batch-size"),
    *("--per-device-train-batch-size", "--per-device-eval-batch-size"),
)
WORKER_NAMES = (
    *("--workers", "-j", "--num-workers", "--dataloader-num-workers", "--jobs", "--num-proc"),
)


@dataclass(frozen=True)
class OtherNames:
    """Names that mean the option or the argument `flag` of a command.

    Attributes:
        flag: an option, or the name of an argument, such as SHARDS. A command without it does not
            know these names.
        names: a name of several entries belongs to the first whose `flag` the command has. Dashes,
            underscores and capitals make no difference.
        advice: if empty, the meaning is the same, and the name is taken for `flag`. Otherwise what
            to give instead, and what differs.
        value: what a name without a value stands for.
    """

    flag: str
    names: tuple[str, ...]
    advice: str = ""
    value: str | None = None


def _same(flag: str, *names: str, value: str | None = None) -> OtherNames:
    return OtherNames(flag, names, value=value)


SAME_MEANING = (
    _same("--shards", "--data", "--data-path", "--data-dir", "--dataset-dir", "--train-dir"),
    _same("--src", "--data", "--data-path", "--data-dir", "--source", "--input", "--input-dir"),
    _same("--out", "--output", "-o", "--output-dir", "--out-dir", "--work-dir", "--save-dir"),
    _same("--out", "--default-root-dir"),
    _same("--output", "--out", "-o", "--output-file"),
    _same("SHARDS", "--shards", "--data", "--data-dir", "--data-path", "--src"),
    _same("RUNS", "--run", "--runs", "--run-dir"),
    _same("--model", "--arch", "-a", "--model-name"),
    _same("--pretrained", "--weights", "--initial-checkpoint"),
    _same("--checkpoint", "--weights", "--ckpt", "--ckpt-path", "--resume"),
    _same("--resume", "--resume-from-checkpoint", "--ckpt-path"),
    _same("--epochs", "--num-epochs", "--num-train-epochs", "--max-epochs", "--n-epochs"),
    _same("--optimizer", "--opt", "--optim"),
    _same("--schedule", "--sched", "--scheduler", "--lr-scheduler", "--lr-scheduler-type"),
    _same("--warmup-epochs", "--lr-warmup-epochs"),
    _same("--wandb", "--log-wandb"),
    _same("--weight-decay", "--wd"),
    _same("--label-smoothing", "--smoothing", "--label-smoothing-factor"),
    _same("--loss", "--bce-loss", value="bce"),
    _same("--grad-clip-norm", "--clip-grad", "--clip-grad-norm", "--max-grad-norm"),
    _same("--grad-clip-norm", "--gradient-clip-val"),
    _same("--sync-bn", "--sync-batchnorm"),
    _same("--train-samples", "--max-train-samples"),
    _same("--image-size", "--img-size", "--imgsz", "--img", "--resolution"),
    _same("--val-resize", "--val-resize-size"),
    _same("--flip-probability", "--hflip", "--fliplr"),
    _same("--auto-augment", "--aa"),
    _same("--rand-augment-magnitude", "--ra-magnitude"),
    _same("--erase-probability", "--reprob", "--random-erase"),
    _same("--log-every", "--log-interval", "--log-every-n-steps", "--logging-steps"),
    _same("--log-every", "--print-freq"),
    _same("--keep-checkpoints", "--save-total-limit"),
    _same("--monitor", "--eval-metric", "--metric-for-best-model"),
    _same("--patience", "--early-stopping-patience"),
    _same("--val-every", "--check-val-every-n-epoch"),
    _same("--checkpoint-every", "--save-period"),
    _same("--precision", "--fp16", value="fp16"),
    _same("--precision", "--bf16", value="bf16"),
    _same("--device", "--accelerator"),
    _same("--device", "--cpu", "--no-cuda", "--use-cpu", value="cpu"),
    _same("--device", "--cuda", value="cuda"),
    _same("--deterministic", "--use-deterministic-algorithms"),
    _same("--seed", "--random-seed", "--random-state", "--manual-seed"),
    _same("--batch-size", *BATCH_NAMES),
    _same("--workers", *WORKER_NAMES),
    _same("--val", "--val-split", "--validation-split", "--val-fraction", "--val-ratio"),
    _same("--label-column", "--label-col", "--target-column", "--target-col", "--y-col"),
    _same("--image-column", "--image-col", "--path-column", "--x-col"),
    _same("--quality", "--jpeg-quality"),
    _same("--longest-side", "--max-resolution"),
    _same("--dry-run", "-n"),
)

# Option -> value elsewhere -> the same value here.
OTHER_VALUES: dict[str, dict[str, str]] = {
    "--device": {"gpu": "cuda"},
    "--precision": {
        **dict.fromkeys(("16-mixed", "16", "float16"), "fp16"),
        **dict.fromkeys(("bf16-mixed", "bfloat16"), "bf16"),
        **dict.fromkeys(("32-true", "32", "float32", "no"), "fp32"),
    },
    "--optimizer": {"adamw_torch": "adamw", "adamw_torch_fused": "adamw"},
    "--schedule": {"cosineannealinglr": "cosine"},
    "--pretrained": {"true": "imagenet", "default": "imagenet"},
}
