"""The DALI graph of training and validation, on CPU and GPU.

    (bytes, parameters) -> decode the crop -> resize the region, flip -> [color]
                        -> [operations] -> [erase] -> uint8 HWC
    [masks: see ``masks.py``]

Only the decoder names a device; each later operator runs where its input is. A GPU decodes whole
images, from which the crop is cut (``decoder_choice.py``); on a CPU torch resizes to all but small
sizes (``resize_on_cpu.py``). Nothing here draws a random number: crops, flips and colors are inputs
from ``augment.py``. A stage in brackets exists if its parameters do.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import nvidia.dali.fn as fn
import nvidia.dali.types as types
from nvidia.dali import Pipeline, pipeline_def
from nvidia.dali.data_node import DataNode
from nvidia.dali.pipeline import do_not_convert
from nvidia.dali.tensors import TensorCPU, TensorListCPU

from pipeline.dali.augment_ops import apply_operation
from pipeline.dali.decoder_choice import decoder_arguments, decodes_regions, installed_libraries
from pipeline.dali.masks import decode_masks, fit_masks
from pipeline.dali.resize_on_cpu import resize_on_cpu
from pipeline.plan.augment import COLOR, OPERATIONS, Parameters

INTERPOLATIONS = {"bilinear": types.INTERP_LINEAR, "bicubic": types.INTERP_CUBIC}

FeedCallback = Callable[[int], tuple[Any, ...]]
Outputs = tuple[DataNode, ...]
# (images, parameters by name, the graph's config) -> the graph's outputs, see ``build_graph``.
Stages = Callable[[DataNode, Mapping[str, DataNode], "GraphConfig"], Outputs]


@dataclass(frozen=True, kw_only=True)
class GraphConfig:
    """Settings of the graph.

    Attributes:
        batch_size: the most samples of a run.
        parameter_names: the fields of ``Parameters`` that the graph takes, in order.
        operations: how many operations of auto-augment an image gets.
        erased_color: RGB, levels from 0 to 255.
        interpolation: how images are resized, a key of INTERPOLATIONS.
        device_id: the GPU; None builds the graph for the CPU, also on machines without CUDA.
        threads, prefetch: DALI's threads, and the runs that it prepares ahead.
        hw_decoder_load: fraction of JPEGs for the GPU's hardware decoder.
        decoded_cache: "host" or "device" if the inputs are decoded images from a cache there; None
            if they are encoded.
        hint_px: height and width of an encoded image, for which the GPU's decoders allocate memory
            in advance, see ``size_hint``.
        whole_images: whether every crop is the whole image, of which ``resize`` takes a region.
        masks: whether encoded masks are inputs, too.
        resizes_with_torch: whether torch resizes on a CPU; else, and on a GPU, DALI does.
    """

    batch_size: int
    parameter_names: tuple[str, ...]
    operations: int
    erased_color: tuple[float, float, float]
    device_id: int | None
    threads: int
    prefetch: int
    hw_decoder_load: float
    interpolation: str = "bilinear"
    decoded_cache: str | None = None
    hint_px: tuple[int, int] = (0, 0)
    whole_images: bool = False
    masks: bool = False
    resizes_with_torch: bool = False

    @property
    def input_names(self) -> tuple[str, ...]:
        """The inputs besides the images."""
        return (*self.parameter_names, "mask") if self.masks else self.parameter_names

    @property
    def decoder_arguments(self) -> dict[str, Any]:
        """Arguments of every decoder of images."""
        return decoder_arguments(self.device_id, self.hw_decoder_load, self.hint_px)


def build_graph(feed: FeedCallback, config: GraphConfig, stages: Stages | None = None) -> Pipeline:
    """Build DALI's pipeline.

    DALI calls `feed` with 0, 1, 2 ...; it returns the images (``source_images``, or a plain list of
    uint8 arrays) and the inputs `config.input_names`, and raises ``StopIteration`` at the end.
    `stages` is ``transform`` by default, or ``decode``. The first output of a run is uint8 images
    on the device: (B, height, width, 3) after ``transform``, of each crop's own size after
    ``decode``. With masks two more are on the host: the masks, uint8 (B, height, width, 1), and the
    highest class of each, see ``masks.py``.
    """

    def outputs() -> Outputs:
        # Else DALI would translate each ``if`` of the callbacks that run per batch.
        images, parameters = do_not_convert(inputs)(feed, config)
        return (stages or transform)(images, parameters, config)

    pipeline = new_pipeline(outputs, config)
    pipeline.build()
    return pipeline


def inputs(feed: FeedCallback, config: GraphConfig) -> tuple[DataNode, dict[str, DataNode]]:
    """The outputs of `feed` as nodes: the images, and the parameters by name."""
    names = config.input_names
    if config.decoded_cache != "device":
        images, *parameters = fn.external_source(
            feed, num_outputs=1 + len(names), batch=True, no_copy=True
        )
        return images, dict(zip(names, parameters, strict=True))
    # All outputs of an external source are on one device, so two sources share each batch here.
    pending: dict[int, tuple[Any, ...]] = {}

    def part(step: int, outputs: slice) -> tuple[Any, ...]:
        if step in pending:
            return pending.pop(step)[outputs]
        pending[step] = feed(step)
        return pending[step][outputs]

    (images,) = fn.external_source(
        lambda step: part(step, slice(1)),
        num_outputs=1,
        batch=True,
        no_copy=True,
        device="gpu",
        layout=["HWC"],
    )
    parameters = fn.external_source(
        lambda step: part(step, slice(1, None)), num_outputs=len(names), batch=True, no_copy=True
    )
    return images, dict(zip(names, parameters, strict=True))


def source_images(images: list[Any], config: GraphConfig) -> Any:
    """The images of a batch for ``source_outputs``, without copying them: one of DALI's tensor
    lists, which saves DALI's thread 3 ms of Python per 256 images."""
    if config.decoded_cache == "device":
        return images
    return _tensor_list(images, "HWC" if config.decoded_cache else "")


def source_outputs(
    images: Any, parameters: Parameters, config: GraphConfig, masks: Sequence[Any] = ()
) -> tuple[Any, ...]:
    """What a feed returns for one batch."""
    mask_lists = [_tensor_list(masks, "")] if config.masks else []
    return images, *(getattr(parameters, name) for name in config.parameter_names), *mask_lists


def _tensor_list(arrays: Sequence[Any], layout: str) -> Any:
    return TensorListCPU([TensorCPU(array, "", False) for array in arrays], layout, False)


def new_pipeline(outputs: Callable[[], Any], config: GraphConfig) -> Pipeline:
    """A pipeline of the nodes that `outputs` returns, not built yet."""
    define = pipeline_def(
        outputs,
        enable_conditionals=config.operations > 0,
        batch_size=config.batch_size,
        num_threads=config.threads,
        device_id=config.device_id,
        prefetch_queue_depth=config.prefetch,
        set_affinity=config.device_id is not None,  # to the cores near that GPU
        seed=0,
    )
    return define()


def decode_crops(
    encoded: DataNode, start: DataNode, shape: DataNode, config: GraphConfig
) -> DataNode:
    """Encoded images -> their crops, RGB."""
    arguments = config.decoder_arguments
    if decodes_regions(config.device_id, installed_libraries()):
        return fn.decoders.image_slice(encoded, start, shape, axis_names="HW", **arguments)
    return cut(fn.decoders.image(encoded, **arguments), start, shape, config)


def cut(images: DataNode, start: DataNode, shape: DataNode, config: GraphConfig) -> DataNode:
    """Decoded images -> their crops, where the images are."""
    if config.whole_images and config.device_id is not None:
        return images
    return fn.slice(images, start=start, shape=shape, axis_names="HW")


def decode(images: DataNode, parameters: Mapping[str, DataNode], config: GraphConfig) -> Outputs:
    """The first stage: encoded or decoded images -> their crops, RGB; masks are decoded in full."""
    start, shape = parameters["start"], parameters["shape"]
    if config.decoded_cache is None:
        crops = decode_crops(images, start, shape, config)
    else:  # the same bits on the CPU
        crops = cut(images, start, shape, config)
        crops = crops if config.device_id is None else crops.gpu()
    return (crops, *decode_masks(parameters["mask"])) if config.masks else (crops,)


def transform(images: DataNode, parameters: Mapping[str, DataNode], config: GraphConfig) -> Outputs:
    """All stages: encoded or decoded images -> augmented images; see ``build_graph``."""
    crops, *mask_nodes = decode(images, parameters, config)
    augmented = augment(crops, parameters, config)
    if config.masks:
        masks, highest = mask_nodes
        return augmented, fit_masks(masks, parameters, config.operations), highest
    return (augmented,)


def augment(crops: DataNode, parameters: Mapping[str, Any], config: GraphConfig) -> DataNode:
    """Decoded crops -> augmented images of one size."""
    if config.resizes_with_torch and config.device_id is None:
        images = resize_on_cpu(
            crops, parameters, interpolation=config.interpolation, threads=config.threads
        )
    else:
        images = resize_with_dali(crops, parameters, config.interpolation)
    twist = {name: parameters[name] for name in (*COLOR, "hue") if name in parameters}
    if twist:
        images = fn.color_twist(images, **twist)
    for stage in range(config.operations):
        operation, matrix, amount = (parameters[name][stage] for name in OPERATIONS)
        images = apply_operation(images, operation, matrix, amount)
    if "hole_start" in parameters:
        images = fn.erase(
            images,
            anchor=parameters["hole_start"],
            shape=parameters["hole_shape"],
            axis_names="HW",
            fill_value=config.erased_color,
        )
    return images


def resize_with_dali(
    crops: DataNode, parameters: Mapping[str, Any], interpolation: str
) -> DataNode:
    """The region of each crop, resized and flipped."""
    images = fn.resize(
        crops,
        size=parameters["size"],
        roi_start=parameters["roi_start"],
        roi_end=parameters["roi_end"],
        interp_type=INTERPOLATIONS[interpolation],
        antialias=True,
    )
    return fn.flip(images, horizontal=parameters["mirror"])


def reason_of(error: str) -> str:
    """The line of DALI's error message that states the cause."""
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    _, *causes = lines[lines.index("encountered:") :] if "encountered:" in lines else [""]
    return (causes or lines[-1:] or ["no reason given"])[0]
