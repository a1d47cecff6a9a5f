"""The model of a step: properties that hold for every speed and network."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.predict.networks import LINKS, Link, Network, parse_link
from benchmarks.predict.step_model import (
    BUCKET_BYTES,
    COMMUNICATION,
    COMPUTE,
    INPUT,
    PredictedStep,
    RankSpeed,
    exposed_seconds,
    first_limit,
    predict_step,
)
from pipeline.errors import MisuseError

rates = st.floats(1.0, 1e5)
shares = st.floats(0.0, 1.0)
links = st.builds(
    Link,
    name=st.just("any"),
    bandwidth_gb_per_second=st.floats(0.01, 1000),
    latency_us=st.floats(0, 500),
    core_share=shares,
)
networks = st.builds(
    Network,
    ranks_per_node=st.integers(1, 16),
    within=links,
    between=links,
    slowdown=st.floats(1, 3),
)
cores = st.integers(1, 256)


@st.composite
def speeds(draw: st.DrawFn) -> RankSpeed:
    """Loader and model at once are slower than either without the other."""
    compute, loader = draw(rates), draw(st.none() | rates)
    slowest = min(compute, loader or compute)
    return RankSpeed(
        batch_size=draw(st.integers(1, 1024)),
        compute_rate=compute,
        loader_rate=loader,
        training_rate=draw(st.none() | st.floats(0.5, 1.0).map(lambda share: share * slowest)),
        gradient_bytes=draw(st.floats(1e3, 1e10)),
        threads=draw(st.integers(1, 64)),
    )


FREE = Link(name="free", bandwidth_gb_per_second=math.inf, latency_us=0.0)
NODE = Network(ranks_per_node=8, within=LINKS["nvlink-4"], between=LINKS["infiniband-400"])
# ResNet-50 on a GPU: 24 ms a step, backward 16 ms.
RESNET = RankSpeed(batch_size=64, compute_rate=64 / 0.024, gradient_bytes=4 * BUCKET_BYTES)


@given(speeds(), networks, cores)
def test_one_rank_is_as_fast_as_measured(speed: RankSpeed, network: Network, cores: int) -> None:
    single = predict_step(speed, network, 1, cores_per_node=max(cores, speed.threads))
    slowest = min(speed.compute_rate, speed.loader_rate or speed.compute_rate)
    assert single.images_per_second == pytest.approx(speed.training_rate or slowest)
    assert single.exposed_seconds == single.all_reduce_seconds == 0


@given(speeds(), networks, st.integers(1, 1024), cores)
def test_nothing_is_faster_than_linear_scaling(
    speed: RankSpeed, network: Network, count: int, cores: int
) -> None:
    step = predict_step(speed, network, count, cores_per_node=cores)
    slowest = min(speed.compute_rate, speed.loader_rate or speed.compute_rate)
    assert step.images_per_second <= count * (speed.training_rate or slowest) * (1 + 1e-9)
    assert step.exposed_seconds <= step.all_reduce_seconds * (1 + 1e-9)


@given(speeds(), networks, st.integers(1, 512), cores, st.floats(1, 100))
def test_better_hardware_is_never_slower(
    speed: RankSpeed, network: Network, count: int, cores: int, times: float
) -> None:
    def rate(speed: RankSpeed, network: Network, cores: int) -> float:
        return predict_step(speed, network, count, cores_per_node=cores).images_per_second

    def wider(link: Link) -> Link:
        return replace(link, bandwidth_gb_per_second=times * link.bandwidth_gb_per_second)

    def sooner(link: Link) -> Link:
        return replace(link, latency_us=link.latency_us / times)

    minimum = rate(speed, network, cores) * (1 - 1e-9)
    for change in (wider, sooner):
        assert rate(speed, replace(network, within=change(network.within)), cores) >= minimum
        assert rate(speed, replace(network, between=change(network.between)), cores) >= minimum
    assert rate(speed, network, 2 * cores) >= minimum
    assert rate(speed, replace(network, slowdown=1.0), cores) >= minimum
    # With fewer buckets, less of the all-reduce is hidden: the number of buckets stays.
    full_buckets = (math.ceil(speed.gradient_bytes / BUCKET_BYTES) - 1) * BUCKET_BYTES
    smaller = max(speed.gradient_bytes / times, full_buckets + 1)
    assert rate(replace(speed, gradient_bytes=smaller), network, cores) >= minimum
    free = replace(speed, training_rate=None)
    minimum = rate(free, network, cores) * (1 - 1e-9)
    assert rate(replace(free, compute_rate=times * free.compute_rate), network, cores) >= minimum
    if free.loader_rate:
        assert rate(replace(free, loader_rate=times * free.loader_rate), network, cores) >= minimum


@given(speeds(), st.integers(2, 1024), st.integers(1, 16), cores)
def test_a_free_network_leaves_compute_or_input(
    speed: RankSpeed, count: int, ranks_per_node: int, cores: int
) -> None:
    network = Network(ranks_per_node=ranks_per_node, within=FREE, between=FREE)
    step = predict_step(speed, network, count, cores_per_node=cores)
    assert step.exposed_seconds == 0
    is_starved = step.input_seconds > step.compute_seconds
    assert first_limit(step) == (INPUT if is_starved else COMPUTE) or math.isclose(
        step.input_seconds, step.compute_seconds
    )


@given(speeds(), networks, st.integers(2, 1024), cores)
def test_removing_the_first_limit_helps_most(
    speed: RankSpeed, network: Network, count: int, cores: int
) -> None:
    step = predict_step(speed, network, count, cores_per_node=cores)
    limit = first_limit(step)
    busy = step.compute_seconds + step.exposed_seconds
    if limit == INPUT:
        assert step.input_seconds >= busy * (1 - 1e-9) or step.input_seconds >= max(
            step.compute_seconds, step.all_reduce_seconds
        )
    elif limit == COMMUNICATION:
        assert step.all_reduce_seconds >= step.input_seconds or busy > step.input_seconds
        assert step.exposed_seconds > 0


def test_a_ring_sends_the_minimum() -> None:
    """2 (n - 1) / n of the bytes in 2 (n - 1) hops: Patarasuk and Yuan 2009."""
    link = Link(name="link", bandwidth_gb_per_second=10, latency_us=5)
    network = Network(ranks_per_node=8, within=link, between=FREE)
    assert network.all_reduce_seconds(1e9, 1) == 0
    assert network.all_reduce_seconds(1e9, 2) == pytest.approx(0.1 + 2 * 5e-6)
    assert network.all_reduce_seconds(1e9, 8) == pytest.approx(0.175 + 14 * 5e-6)
    # Four nodes: their ranks as before, and a ring of four between them.
    slow = replace(network, between=replace(link, bandwidth_gb_per_second=1))
    assert slow.all_reduce_seconds(1e9, 32) == pytest.approx(0.175 + 1.5 + (14 + 6) * 5e-6)
    assert (slow.nodes(32), slow.nodes(33), slow.local_ranks(4)) == (4, 5, 4)


def test_backward_hides_all_but_the_last_bucket() -> None:
    network = replace(NODE, within=Link(name="x", bandwidth_gb_per_second=26.2144, latency_us=0))
    # A bucket of 25 MiB takes 1 ms between two ranks; 16 ms of backward hide the first three.
    assert exposed_seconds(RESNET, network, 2) == pytest.approx(1e-3)
    # 10 ms each: of 40 ms three quarters of the backward pass hide 12.
    slow = replace(network, within=replace(network.within, bandwidth_gb_per_second=2.62144))
    assert exposed_seconds(RESNET, slow, 2) == pytest.approx(28e-3)
    # The work of the CPU cores for the first three is never hidden.
    gloo = replace(network, within=replace(network.within, core_share=0.9))
    assert exposed_seconds(RESNET, gloo, 2) == pytest.approx(1e-3 + 0.9 * 3e-3)


def test_limits_of_a_cluster() -> None:
    """Eight GPUs a node, 2,667 images/s each."""
    assert first_limit(predict_step(RESNET, NODE, 64, cores_per_node=64)) == COMPUTE
    ethernet = replace(NODE, between=LINKS["ethernet-10"])
    assert first_limit(predict_step(RESNET, ethernet, 64, cores_per_node=64)) == COMMUNICATION
    # A loader that keeps one GPU busy on 16 cores has 8 beside seven others.
    fed = replace(RESNET, loader_rate=3000, threads=16)
    assert first_limit(predict_step(fed, NODE, 2, cores_per_node=64)) == COMPUTE
    starved = predict_step(fed, NODE, 8, cores_per_node=64)
    assert first_limit(starved) == INPUT
    assert starved.images_per_second == pytest.approx(8 * 1500)
    assert starved.waiting_seconds == pytest.approx(
        64 / 1500 - starved.compute_seconds - starved.exposed_seconds
    )


def test_ranks_of_a_node_slow_each_other_down() -> None:
    """Linearly in the number of ranks of a node; a single rank is as fast as measured."""
    shared = replace(NODE, slowdown=1.7)
    steps = [predict_step(RESNET, shared, ranks, cores_per_node=64) for ranks in (1, 2, 8, 64)]
    times = [step.compute_seconds / RESNET.compute_seconds for step in steps]
    assert times == pytest.approx([1, 1.1, 1.7, 1.7])


def test_interference_stays_with_each_rank() -> None:
    """Time of one rank beyond the slower of loader and model."""
    speed = replace(RESNET, loader_rate=4000, training_rate=64 / 0.030)
    assert speed.interference_seconds == pytest.approx(6e-3)
    step: PredictedStep = predict_step(speed, NODE, 8, cores_per_node=64)
    assert step.step_seconds == pytest.approx(30e-3 + step.exposed_seconds)


def test_links_by_name_or_as_stated() -> None:
    assert parse_link("--between", "ethernet-100").bandwidth_gb_per_second == 12.5
    stated = parse_link("--within", "25,5")
    assert (stated.bandwidth_gb_per_second, stated.latency_us) == (25, 5)
    assert "as stated" in str(stated)
    assert all(link.source != "as stated" for link in LINKS.values())


@pytest.mark.parametrize(
    "text", ["", "fast", "25", "0,5", "-1,5", "25,-1", "inf,1", "nan,1", "1,2,3"]
)
def test_an_invalid_link_is_rejected(text: str) -> None:
    with pytest.raises(MisuseError, match="such as 25,5, or one of gloo-loopback"):
        parse_link("--within", text)
