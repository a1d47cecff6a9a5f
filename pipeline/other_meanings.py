"""Names that other programs have for something else than any option here, and what to give instead;
``pipeline/other_names.py`` has the names that mean the same."""

from pipeline.other_names import BATCH_NAMES, WORKER_NAMES, OtherNames

OTHER_MEANING = (
    OtherNames(
        "--learning-rate",
        ("--lr", "--lr0", "--base-lr", "--lr-base", "--blr", "--max-lr"),
        "give --learning-rate, which is the peak rate at batch 256 and is scaled with the global "
        "batch size as --lr-scaling says; other programs don't scale their --lr.",
    ),
    OtherNames(
        "--global-batch-size",
        BATCH_NAMES,
        "give --global-batch-size, the samples of a step over all ranks: the batch of one GPU "
        "times the number of GPUs.",
    ),
    OtherNames(
        "--threads",
        WORKER_NAMES,
        "give --threads, the threads of each rank that decode; there are no worker processes, and "
        "by default the ranks share all cores.",
    ),
    OtherNames(
        "--workers",
        ("--threads", "--num-threads"),
        "give --workers, the number of processes; by default one for each core.",
    ),
    OtherNames(
        "--accumulate-steps",
        (
            *("--grad-accum-steps", "--gradient-accumulation-steps", "--accum-iter"),
            "--accumulate-grad-batches",
        ),
        "give --accumulate-steps N, which divides the batch of a step into N parts; elsewhere it "
        "makes the batch N times as large.",
    ),
    OtherNames(
        "--device",
        (
            *("--gpus", "--gpu", "--devices", "--num-gpus", "--ngpus", "--gpu-ids", "--nproc"),
            *("--nproc-per-node", "--num-processes", "--world-size", "--local-rank", "--rank"),
            *("--dist-url", "--dist-backend", "--distributed", "--strategy", "--num-nodes"),
            "--multiprocessing-distributed",
        ),
        "start a process for each of N GPUs with torchrun --nproc_per_node N -m MODULE; "
        "CUDA_VISIBLE_DEVICES=0,1 before the command chooses GPUs.",
    ),
    OtherNames(
        "--precision",
        ("--amp", "--native-amp", "--amp-dtype", "--half", "--mixed-precision", "--use-amp"),
        "give --precision bf16 or fp16; auto, the default, takes the one that is faster.",
    ),
    OtherNames(
        "--compile",
        ("--torchcompile", "--torch-compile"),
        "give --compile default, or another mode of torch.compile.",
    ),
    OtherNames(
        "--epochs",
        ("--max-steps", "--steps", "--iterations", "--max-iter", "--num-steps"),
        "give --epochs, the passes over the training split, which may be a fraction; a step has "
        "--global-batch-size samples.",
    ),
    OtherNames(
        "--warmup-epochs",
        ("--warmup-ratio", "--warmup-steps", "--warmup-iters", "--warmup", "--lr-warmup-steps"),
        "give --warmup-epochs, in epochs instead of steps or shares of the run.",
    ),
    OtherNames(
        "--val-every",
        ("--eval-steps", "--val-interval", "--val-check-interval", "--eval-every"),
        "give --val-every, the epochs between evaluations; it may be a fraction.",
    ),
    OtherNames(
        "--checkpoint-every",
        ("--save-steps", "--save-every", "--save-freq", "--recovery-interval"),
        "give --checkpoint-every, the epochs between checkpoints; it may be a fraction.",
    ),
    OtherNames(
        "--keep-checkpoints",
        ("--checkpoint-hist",),
        "give --keep-checkpoints, which keeps the latest checkpoints beside the best one; "
        "elsewhere it keeps the best ones.",
    ),
    OtherNames(
        "--schedule",
        (
            *("--min-lr", "--lr-min", "--lrf", "--warmup-lr", "--step-size", "--lr-step-size"),
            *("--gamma", "--lr-gamma", "--decay-rate", "--decay-epochs", "--cos-lr"),
        ),
        "give only --schedule and --warmup-epochs: the rate begins at 0, and ends at 0 or, with "
        "--schedule step, falls to a tenth after each third of the run.",
    ),
    OtherNames(
        "--ema-decay",
        ("--model-ema", "--model-ema-decay", "--ema", "--model-ema-steps"),
        "give --ema-decay 0.9999, which also turns the average on; it is updated after each step.",
    ),
    OtherNames(
        "--repeats",
        ("--aug-repeats", "--ra-reps", "--ra-sampler"),
        "give --repeats, the number of copies of a sample that follow each other.",
    ),
    OtherNames(
        "--freeze-backbone-epochs",
        ("--freeze", "--freeze-backbone", "--freeze-layers"),
        "give --freeze-backbone-epochs, the first epochs in which only the last layer is trained.",
    ),
    OtherNames(
        "--drop-path",
        ("--drop", "--dropout"),
        "give --drop-path for the residual blocks that are skipped in training; other dropout is "
        "as the model has it.",
    ),
    OtherNames(
        "--val-resize",
        ("--crop-pct", "--input-size", "--train-crop-size", "--val-crop-size", "--resize"),
        "give --image-size PX for training and validation; validation resizes to --val-resize PX, "
        "the image size divided by the crop's share.",
    ),
    OtherNames(
        "--mixup-alpha",
        ("--mixup", "--cutmix", "--mixup-prob"),
        "give --mixup-alpha and --cutmix-alpha, the parameters of the distributions that weights "
        "and areas are drawn from; they are no probabilities.",
    ),
    OtherNames(
        "--crop-area",
        ("--scale", "--ratio", "--no-aug"),
        "give --crop-area LOW HIGH and --crop-ratio LOW HIGH; --crop-area 1 1 --flip-probability 0 "
        "trains without random crops and flips.",
    ),
    OtherNames(
        "--normalization",
        ("--mean", "--std", "--num-classes", "--nb-classes", "--class-map"),
        "leave it out: classes, mean and standard deviation are those of the shards.",
    ),
    OtherNames(
        "--train-samples",
        ("--fraction", "--limit-train-batches", "--overfit-batches", "--subset"),
        "give --train-samples N or P%, a number or a share of the training samples, such as 10%.",
    ),
    OtherNames(
        "--flip-probability",
        ("--vflip", "--flipud"),
        "flips are only horizontal here, see --flip-probability.",
    ),
    OtherNames(
        "--epochs",
        ("--test-only", "--eval", "--evaluate", "--do-eval", "--validate"),
        "evaluate a run with python -m trainer.evaluate runs/NAME; training evaluates by itself, "
        "see --val-every.",
    ),
    OtherNames(
        "--resume",
        ("--checkpoint", "--ckpt", "--load"),
        "give --resume PATH to go on with a run, or --pretrained FILE to begin a new run with its "
        "weights.",
    ),
    OtherNames(
        "--resume",
        ("--overwrite", "--overwrite-output-dir", "--exist-ok", "--force", "-f"),
        "a run is never overwritten: give a new --out, or the same one to resume.",
    ),
    OtherNames(
        "--resume",
        ("--name", "--project", "--experiment", "--exp-name", "--run-name", "--experiment-name"),
        "give --out runs/NAME, the directory of this run.",
    ),
    OtherNames(
        "--src",
        ("--overwrite", "--exist-ok", "--force", "-f"),
        "a dataset is never overwritten: give a new --out, or delete the folder first.",
    ),
    OtherNames(
        "--shortest-side",
        ("--resize", "--size", "--image-size", "--img-size", "--imgsz"),
        "give --shortest-side PX or --longest-side PX, which shrink larger images and keep their "
        "shape; training crops and resizes by itself.",
    ),
    OtherNames(
        "--tensorboard",
        ("--report-to", "--logger"),
        "give --tensorboard, --wandb or --mlflow; metrics.jsonl in the run's directory has every "
        "record.",
    ),
    OtherNames(
        "--recipe",
        ("--config", "--cfg", "-c", "--hparams"),
        "give --recipe for published settings, and options for others.",
    ),
)
