"""The graph for the GPU, traced on machines without one."""

from typing import Any

import nvidia.dali.fn as fn
import pytest
from nvidia.dali.data_node import DataNode

from pipeline.config import PipelineConfig
from pipeline.dali.decode_graph import GraphConfig, new_pipeline, transform
from pipeline.plan.augment import train_parameter_names
from pipeline.storage.manifest import VOID

Operators = dict[str, dict[str, str]]

RESIZE_ON_CPU = "DLTensorPythonFunctionImpl"


def graph_of(config: PipelineConfig, device_id: int | None, **fields: Any) -> GraphConfig:
    return GraphConfig(
        batch_size=4,
        parameter_names=train_parameter_names(config),
        operations=config.operations,
        erased_color=(1.0, 2.0, 3.0),
        device_id=device_id,
        threads=1,
        prefetch=2,
        hw_decoder_load=0.65,
        interpolation=config.resolved_interpolation,
        **fields,
    )


def traced(
    device_id: int | None, *, decoded_cache: str | None = None, masks: bool = False, **settings: Any
) -> tuple[DataNode, Operators]:
    """The graph's last output and, for each operator behind it, its arguments as DALI has them."""
    graph = graph_of(
        PipelineConfig(**settings), device_id, decoded_cache=decoded_cache, masks=masks
    )
    made: list[DataNode] = []

    def outputs() -> tuple[DataNode, ...]:
        names = ("encoded", *graph.input_names)
        inputs = {name: fn.external_source(name=name, batch=True) for name in names}
        images, *rest = transform(inputs["encoded"], inputs, graph)
        made.append(rest[0] if masks else images)
        return images, *rest

    new_pipeline(outputs, graph)
    operators: Operators = {}
    waiting, seen = [*made], set()
    while waiting:
        source = waiting.pop().source
        if id(source) in seen:
            continue
        seen.add(id(source))
        header, *lines = str(source.spec).splitlines()
        pairs = (line.strip().partition(": ") for line in lines if ": " in line)
        name = header.removeprefix("OpSpec for ").rstrip(":")
        if name not in operators and name != "ExternalSource":
            operators[name] = {
                name: value for name, _, value in pairs if not name.startswith("_origin")
            }
        waiting += [node for node in source.inputs or () if isinstance(node, DataNode)]
    return made[0], operators


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize(("device_id", "device"), [(None, "cpu"), (0, "gpu")])
def test_output_images_are_on_the_device(device_id: int | None, device: str, color: bool) -> None:
    images, operators = traced(device_id, color_jitter=0.4 if color else 0.0)
    assert images.device == device
    decoder = operators.pop("decoders__ImageSlice")
    assert decoder["device"] == ("cpu" if device_id is None else "mixed")
    assert {arguments["device"] for arguments in operators.values()} == {device}
    assert ("ColorTwist" in operators) == color


def test_both_devices_get_the_same_operators_and_arguments_except_for_the_resize() -> None:
    (_, on_cpu), (_, on_gpu) = traced(None, color_jitter=0.4), traced(0, color_jitter=0.4)
    for operators in (on_cpu, on_gpu):
        for arguments in operators.values():
            del arguments["device"]
    assert RESIZE_ON_CPU in on_cpu
    shared = on_cpu.keys() - {RESIZE_ON_CPU}
    assert shared == on_gpu.keys() - {"Resize", "Flip"}
    assert {name: on_cpu[name] for name in shared} == {name: on_gpu[name] for name in shared}
    assert on_gpu["decoders__ImageSlice"]["jpeg_fancy_upsampling"] == "True"
    assert on_gpu["Resize"]["antialias"] == "True"


def test_only_images_are_interpolated_as_the_option_says() -> None:
    def types(**settings: Any) -> str:
        return traced(0, **settings)[1]["Resize"]["interp_type"]

    assert types() == types(interpolation="bilinear") != types(interpolation="bicubic")
    assert types(masks=True) == types(masks=True, interpolation="bicubic")


@pytest.mark.parametrize(("device_id", "device"), [(None, "cpu"), (0, "gpu")])
def test_operations_run_on_the_device_of_the_images(device_id: int | None, device: str) -> None:
    images, operators = traced(device_id, auto_augment="trivial", erase_probability=0.1)
    assert images.device == device
    for name in ("WarpAffine", "Brightness", "Filter", "Equalize", "reductions__Max", "Erase"):
        assert operators[name]["device"] == device


@pytest.mark.parametrize("device_id", [None, 0])
def test_masks_stay_on_the_host_and_use_the_nearest_pixel(device_id: int | None) -> None:
    masks, operators = traced(device_id, masks=True, auto_augment="trivial", color_jitter=0.4)
    assert masks.device == "cpu"
    assert {arguments["device"] for arguments in operators.values()} == {"cpu"}
    assert operators["Resize"]["interp_type"] == operators["WarpAffine"]["interp_type"]
    assert float(operators["WarpAffine"]["fill_value"]) == VOID
    _, of_images = traced(0)
    assert of_images["Resize"]["interp_type"] != operators["Resize"]["interp_type"]
    assert not {"ColorTwist", "Brightness"} & set(operators)


def test_memory_is_allocated_for_the_largest_image() -> None:
    graph = graph_of(PipelineConfig(), 0, largest_px=(3000, 90_000))
    arguments = graph.decoder_arguments
    assert arguments["preallocate_height_hint"] == 3000
    assert arguments["preallocate_width_hint"] == 4096
    assert arguments["device_memory_padding"] == 3000 * 4096 * 3


@pytest.mark.parametrize("auto_augment", ["none", "rand"])
@pytest.mark.parametrize(("device_id", "device"), [(None, "cpu"), (0, "gpu")])
@pytest.mark.parametrize("decoded_cache", ["host", "device"])
def test_decoded_images_are_cropped_instead_of_decoded(
    device_id: int | None, device: str, decoded_cache: str, auto_augment: str
) -> None:
    images, operators = traced(device_id, decoded_cache=decoded_cache, auto_augment=auto_augment)
    _, otherwise = traced(device_id, auto_augment=auto_augment)
    assert images.device == device
    assert operators.pop("Slice")["device"] == "cpu"
    operators.pop("Copy", None)  # from the host to the device
    del otherwise["decoders__ImageSlice"]
    for names in (operators, otherwise):
        names.get(RESIZE_ON_CPU, {}).pop("function_id", None)
    assert operators == otherwise
