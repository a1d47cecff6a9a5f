"""The graph for the GPU, traced on machines without one."""

import re
from dataclasses import replace
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
        resizes_with_torch=True,
        **fields,
    )


def traced(
    device_id: int | None,
    *,
    decoded_cache: str | None = None,
    masks: bool = False,
    whole_images: bool = False,
    **settings: Any,
) -> tuple[DataNode, Operators]:
    """The graph's last output and, for each operator behind it, its arguments as DALI has them."""
    graph = graph_of(
        PipelineConfig(**settings),
        device_id,
        decoded_cache=decoded_cache,
        masks=masks,
        whole_images=whole_images,
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
    name = "decoders__ImageSlice" if device_id is None else "decoders__Image"
    assert operators.pop(name)["device"] == ("cpu" if device_id is None else "mixed")
    assert {arguments["device"] for arguments in operators.values()} == {device}
    assert ("ColorTwist" in operators) == color


def test_both_devices_get_the_same_operators_and_arguments_except_for_the_resize() -> None:
    (_, on_cpu), (_, on_gpu) = traced(None, color_jitter=0.4), traced(0, color_jitter=0.4)
    for operators in (on_cpu, on_gpu):
        for arguments in operators.values():
            del arguments["device"]
    on_both = on_cpu.keys() & on_gpu.keys()
    assert on_cpu.keys() - on_both == {"decoders__ImageSlice", RESIZE_ON_CPU}
    assert on_gpu.keys() - on_both == {"decoders__Image", "Slice", "Resize", "Flip"}
    assert {name: on_cpu[name] for name in on_both} == {name: on_gpu[name] for name in on_both}
    of_region, of_whole = on_cpu["decoders__ImageSlice"], on_gpu["decoders__Image"]
    del of_whole["_display_name"]
    assert {name: of_region[name] for name in of_whole} == of_whole
    assert on_gpu["Slice"]["axis_names"] == of_region["axis_names"]
    assert of_whole["jpeg_fancy_upsampling"] == "True"
    assert on_gpu["Resize"]["antialias"] == "True"


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("whole_images", [False, True])
def test_a_gpu_decodes_no_regions(whole_images: bool, masks: bool) -> None:
    config = PipelineConfig(color_jitter=0.4)
    graph = graph_of(config, None, masks=masks, whole_images=whole_images)

    def outputs() -> tuple[DataNode, ...]:
        names = ("encoded", *graph.input_names)
        inputs = {name: fn.external_source(name=name, batch=True) for name in names}
        return transform(inputs["encoded"], inputs, replace(graph, device_id=0))

    # The graph of a GPU in a pipeline without one: DALI serializes none for a missing device.
    serialized = new_pipeline(outputs, graph).serialize()
    assert set(re.findall(rb"decoders__\w+", serialized)) == {b"decoders__Image"}
    assert (b"Slice" in serialized) == (masks or not whole_images)


def test_whole_images_are_not_cut_on_a_gpu() -> None:
    _, operators = traced(0, whole_images=True)
    assert operators.keys() == {"decoders__Image", "Resize", "Flip"}
    for cache in ("host", "device"):
        _, operators = traced(0, whole_images=True, decoded_cache=cache)
        assert "Slice" not in operators and operators["Resize"]["device"] == "gpu"
    assert traced(None, whole_images=True)[1].keys() == traced(None)[1].keys()


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
    if device_id is None:
        del otherwise["decoders__ImageSlice"]
    else:
        del otherwise["decoders__Image"], otherwise["Slice"]
    for names in (operators, otherwise):
        names.get(RESIZE_ON_CPU, {}).pop("function_id", None)
    assert operators == otherwise
