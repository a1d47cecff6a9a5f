"""The one DALI graph: training and validation, CPU and GPU.

    (bytes, parameters) -> decode the window -> resize the region -> [color] -> flip
                        -> [operations] -> [erase] -> uint8 HWC
    [masks: see ``masks.py``]

Only the decoder names a device; everything after it runs where its output lies. Nothing here draws
a random number: windows, flips and colors come in from ``augment.py``. What stands in brackets is
there where its parameters are.
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

from pipeline.dali.augment_ops import operate
from pipeline.dali.masks import decode_masks, fit_masks
from pipeline.plan.augment import COLOR, OPERATIONS, Parameters

# Memory for a larger image is allocated when it comes: each of DALI's threads has a buffer.
HINTED_PX = 4096
# What DALI allocates for a thread by default.
DALI_PADDING_BYTES = 2**24

FeedCallback = Callable[[int], tuple[Any, ...]]
Outputs = tuple[DataNode, ...]
# (images, parameters by name, the graph's config) -> images, and what ``masks.py`` says: the
# operators between feed and output.
Stages = Callable[[DataNode, Mapping[str, DataNode], "GraphConfig"], Outputs]


@dataclass(frozen=True, kw_only=True)
class GraphConfig:
    """
    Attributes:
        parameter_names: the fields of ``Parameters`` that the graph takes, in order.
        operations: how many ``operation``, ``matrix`` and ``amount`` hold.
        erased_color: RGB, levels from 0 to 255.
        device_id: None builds the graph for the CPU, on machines without CUDA too.
        decoded: where whole images, decoded already, come in instead of encoded ones: "host" or
            "device".
        largest_px: the greatest height and width of an encoded image, for what the GPU's decoders
            allocate beforehand.
        masks: whether encoded masks come in beside the images.
    """

    batch_size: int
    parameter_names: tuple[str, ...]
    operations: int
    erased_color: tuple[float, float, float]
    device_id: int | None
    threads: int
    prefetch: int
    hw_decoder_load: float
    decoded: str | None = None
    largest_px: tuple[int, int] = (0, 0)
    masks: bool = False

    @property
    def input_names(self) -> tuple[str, ...]:
        """What comes in beside the images."""
        return (*self.parameter_names, "mask") if self.masks else self.parameter_names

    @property
    def decoder_arguments(self) -> dict[str, Any]:
        """What every decoder of images is told."""
        height, width = (min(side, HINTED_PX) for side in self.largest_px)
        return {
            "device": "cpu" if self.device_id is None else "mixed",
            "output_type": types.RGB,
            "hw_decoder_load": self.hw_decoder_load,
            "jpeg_fancy_upsampling": True,  # as libjpeg-turbo on the CPU does
            "preallocate_height_hint": height,
            "preallocate_width_hint": width,
            "device_memory_padding": max(height * width * 3, DALI_PADDING_BYTES),
        }


def build_graph(
    source: FeedCallback, config: GraphConfig, stages: Stages | None = None
) -> Pipeline:
    """The pipeline, built.

    `source` is called with 0, 1, 2 ... and returns the images (``source_images``, or a plain list
    of uint8 arrays) and what `config.input_names` names; it ends the run by ``StopIteration``.
    The first output of a run lies on the device: uint8, (B, height, width, 3) behind all stages
    (``transform``), the images' own sizes behind ``windows``. With masks two more lie on the host:
    the masks, uint8 (B, height, width, 1), and the highest class of each, see ``masks.py``.
    """

    def outputs() -> Outputs:
        # DALI's translation of ``if`` would reach into what runs for each batch.
        images, parameters = do_not_convert(inputs)(source, config)
        return (stages or transform)(images, parameters, config)

    pipeline = new_pipeline(outputs, config)
    pipeline.build()
    return pipeline


def inputs(source: FeedCallback, config: GraphConfig) -> tuple[DataNode, dict[str, DataNode]]:
    """What `source` returns, as nodes: the images, and the parameters by name."""
    names = config.input_names
    if config.decoded != "device":
        images, *parameters = fn.external_source(
            source, num_outputs=1 + len(names), batch=True, no_copy=True
        )
        return images, dict(zip(names, parameters, strict=True))
    # The nodes of one source lie on one device, so here two sources share each batch.
    waiting: dict[int, tuple[Any, ...]] = {}

    def part(step: int, take: slice) -> tuple[Any, ...]:
        if step in waiting:
            return waiting.pop(step)[take]
        waiting[step] = source(step)
        return waiting[step][take]

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
    """The images of a batch as a `source` returns them: a list that DALI needn't look through,
    which saves 3 ms of Python for 256 images in the thread that runs DALI. Nothing is copied."""
    if config.decoded == "device":
        return images
    return _tensor_list(images, "HWC" if config.decoded else "")


def _tensor_list(arrays: list[Any], layout: str) -> Any:
    return TensorListCPU([TensorCPU(array, "", False) for array in arrays], layout, False)


def new_pipeline(outputs: Callable[[], Any], config: GraphConfig) -> Pipeline:
    """The pipeline that gives what `outputs` returns, not built."""
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


def decode(encoded: DataNode, start: DataNode, shape: DataNode, config: GraphConfig) -> DataNode:
    """The windows of encoded images, RGB."""
    return fn.decoders.image_slice(
        encoded,
        start,
        shape,
        axis_names="HW",
        **config.decoder_arguments,
    )


def cut(images: DataNode, start: DataNode, shape: DataNode, config: GraphConfig) -> DataNode:
    """The windows of decoded images: what ``decode`` would give, bit for bit on the CPU."""
    windows = fn.slice(images, start=start, shape=shape, axis_names="HW")
    return windows if config.device_id is None else windows.gpu()


def windows(
    source_images: DataNode, parameters: Mapping[str, DataNode], config: GraphConfig
) -> Outputs:
    """The first stage: encoded or decoded images -> their windows, RGB; masks are decoded whole."""
    window = cut if config.decoded else decode
    images = window(source_images, parameters["start"], parameters["shape"], config)
    return (images, *decode_masks(parameters["mask"])) if config.masks else (images,)


def transform(
    source_images: DataNode, parameters: Mapping[str, DataNode], config: GraphConfig
) -> Outputs:
    """Encoded or decoded images and parameters -> images; the operators that every feed shares."""
    images, *rest = windows(source_images, parameters, config)
    images = augment(images, parameters, config)
    if config.masks:
        masks, highest = rest
        return images, fit_masks(masks, parameters, config.operations), highest
    return (images,)


def augment(images: DataNode, parameters: Mapping[str, Any], config: GraphConfig) -> DataNode:
    """Windows of decoded images -> images."""
    images = fn.resize(
        images,
        size=parameters["size"],
        roi_start=parameters["roi_start"],
        roi_end=parameters["roi_end"],
        interp_type=types.INTERP_LINEAR,
        antialias=True,
    )
    twist = {name: parameters[name] for name in (*COLOR, "hue") if name in parameters}
    if twist:
        images = fn.color_twist(images, **twist)
    images = fn.flip(images, horizontal=parameters["mirror"])
    for stage in range(config.operations):
        operation, matrix, amount = (parameters[name][stage] for name in OPERATIONS)
        images = operate(images, operation, matrix, amount)
    if "hole_start" in parameters:
        images = fn.erase(
            images,
            anchor=parameters["hole_start"],
            shape=parameters["hole_shape"],
            axis_names="HW",
            fill_value=config.erased_color,
        )
    return images


def source_outputs(
    images: Any, parameters: Parameters, config: GraphConfig, masks: Sequence[Any] = ()
) -> tuple[Any, ...]:
    """What a `source` returns for one batch."""
    beside = [_tensor_list(list(masks), "")] if config.masks else []
    return images, *(getattr(parameters, name) for name in config.parameter_names), *beside


def reason_of(error: str) -> str:
    """The line of DALI's message that says what happened."""
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    _, *told = lines[lines.index("encountered:") :] if "encountered:" in lines else [""]
    return (told or lines[-1:] or ["no reason given"])[0]
