"""The graph for the GPU, traced on machines without one."""

import nvidia.dali.fn as fn
import pytest
from nvidia.dali.data_node import DataNode

from pipeline.graph import GraphConfig, new_pipeline, transform

Operators = dict[str, dict[str, str]]


def traced(device_id: int | None, *, color: bool) -> tuple[DataNode, Operators]:
    """The graph's output and, for each operator, its arguments as DALI has them."""
    graph = GraphConfig(
        batch_size=4,
        image_size_px=32,
        color=color,
        device_id=device_id,
        threads=1,
        prefetch=2,
        hw_decoder_load=0.65,
    )
    with new_pipeline(graph):
        names = ("encoded", *graph.parameter_names)
        inputs = {name: fn.external_source(name=name, batch=True) for name in names}
        images = transform(inputs["encoded"], inputs, graph)
    operators: Operators = {}
    node = images
    while node.name != "encoded":
        header, *lines = str(node.source.spec).splitlines()
        pairs = (line.strip().partition(": ") for line in lines if ": " in line)
        operators[header.removeprefix("OpSpec for ").rstrip(":")] = {
            name: value for name, _, value in pairs if not name.startswith("_origin")
        }
        node = node.source.inputs[0]
    return images, operators


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize(("device_id", "device"), [(None, "cpu"), (0, "gpu")])
def test_images_come_out_on_the_device(device_id: int | None, device: str, color: bool) -> None:
    images, operators = traced(device_id, color=color)
    assert images.device == device
    decoder = operators.pop("decoders__ImageSlice")
    assert decoder["device"] == ("cpu" if device_id is None else "mixed")
    assert {arguments["device"] for arguments in operators.values()} == {device}
    assert ("ColorTwist" in operators) == color


def test_both_devices_get_the_same_operators_and_arguments() -> None:
    (_, on_cpu), (_, on_gpu) = traced(None, color=True), traced(0, color=True)
    for operators in (on_cpu, on_gpu):
        for arguments in operators.values():
            del arguments["device"]
    assert on_cpu == on_gpu
    assert on_gpu["decoders__ImageSlice"]["jpeg_fancy_upsampling"] == "True"
    assert on_gpu["Resize"]["antialias"] == "True"


def test_memory_is_allocated_for_the_largest_image() -> None:
    graph = GraphConfig(
        batch_size=4,
        image_size_px=32,
        color=False,
        device_id=0,
        threads=1,
        prefetch=2,
        hw_decoder_load=0.65,
        largest_px=(3000, 90_000),
    )
    arguments = graph.decoder_arguments
    assert arguments["preallocate_height_hint"] == 3000
    assert arguments["preallocate_width_hint"] == 4096
    assert arguments["device_memory_padding"] == 3000 * 4096 * 3


@pytest.mark.parametrize("device_id", [None, 0])
@pytest.mark.parametrize("decoded", ["host", "device"])
def test_decoded_images_are_cut_instead(device_id: int | None, decoded: str) -> None:
    graph = GraphConfig(
        batch_size=4,
        image_size_px=32,
        color=False,
        device_id=device_id,
        threads=1,
        prefetch=2,
        hw_decoder_load=0.65,
        decoded=decoded,
    )
    with new_pipeline(graph):
        names = ("images", *graph.parameter_names)
        inputs = {name: fn.external_source(name=name, batch=True) for name in names}
        images = transform(inputs["images"], inputs, graph)
    assert images.device == ("cpu" if device_id is None else "gpu")
    node, operators = images, []
    while node.name != "images":
        operators.append(str(node.source.spec).splitlines()[0].removeprefix("OpSpec for "))
        node = node.source.inputs[0]
    assert "Slice:" in operators and not any("Image" in name for name in operators)
