"""bench-predict: from sealed results to a table, its assumptions and its error."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.compute import __main__ as compute
from benchmarks.measuring.result_file import read_bundle, seal
from benchmarks.predict.__main__ import main
from benchmarks.predict.baseline import read_baseline
from benchmarks.predict.network_probe import measure_network
from benchmarks.predict.networks import LINKS, Network
from benchmarks.predict.probe_steps import LATENCY_BYTES, fit_ring
from benchmarks.predict.step_model import BUCKET_BYTES
from benchmarks.scaling.record import LOADER, LOCKSTEP, NO_ALL_REDUCE, SYNTHETIC, WARM
from pipeline.errors import DataError
from tests.helpers.cli import invoke
from tests.helpers.scaling_results import predicted, scaling


@pytest.fixture(scope="module")
def compute_result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result of bench-compute on one rank."""
    output = tmp_path_factory.mktemp("one") / "compute.json"
    model = ("--model", "squeezenet1_1", "--image-size", "32", "--batch-size", "2")
    short = ("--seconds", "0.01", "--runs", "3", "--device", "cpu", "--output", str(output))
    result = CliRunner().invoke(compute.main, [*model, *short])
    assert result.exit_code == 0, result.output
    return output


def test_a_prediction_from_bench_compute(compute_result: Path, tmp_path: Path) -> None:
    output = tmp_path / "prediction.json"
    lines, record = predicted(compute_result, "--ranks-per-node", 4, "--output", output)
    assert read_bundle(output) == record
    assert list(record["median"]) == ["1 rank", *(f"{2**n:,} ranks" for n in range(1, 11))]
    rates = read_bundle(compute_result)["values"]["channels-last, batch 2"]
    assert record["values"]["1 rank"] == pytest.approx(rates)
    single, *several = record["predictions"]
    assert single["efficiency"] == 1
    efficiencies = [row["efficiency"] for row in several]
    assert efficiencies == sorted(efficiencies, reverse=True) and efficiencies[0] < 1
    assert [row["nodes"] for row in several] == [1, 1, *(2**n for n in range(1, 9))]
    assert record["rank"]["gradient_bytes"] == 4 * 1_235_496
    assert record["checks"] == []
    printed = "\n".join(lines)
    assert all(assumption in printed for assumption in record["assumptions"])
    assert (
        "Input was not measured" in printed and "gloo-loopback: 1 GB/s, 200 us per hop" in printed
    )
    assert lines[-1] == record["finding"] and "no measurement to compare" in lines[-1]


def test_a_prediction_is_compared_with_measurements(tmp_path: Path) -> None:
    path = scaling(
        tmp_path / "scaling.json",
        {
            1: {SYNTHETIC: 100, LOADER: 40, WARM: 120},
            2: {SYNTHETIC: 110, LOADER: 40, WARM: 130, NO_ALL_REDUCE: 100, LOCKSTEP: 100},
        },
    )
    # 25 MiB in one bucket, none of it hidden: 10 ms between two ranks.
    output = tmp_path / "prediction.json"
    limits = ("--max-ranks", 2, "--output", output)
    _, record = predicted(path, "--within", "2.62144,0", *limits)
    assert list(record["median"]) == ["1 rank", "2 ranks"]
    assert record["median"]["1 rank"] == pytest.approx(8 / 0.120)
    two = record["predictions"][1]
    assert two["exposed_seconds"] == pytest.approx(0.010)
    assert two["interference_seconds"] == pytest.approx(0.020)
    synthetic, fed = record["checks"]
    assert (synthetic["fed"], fed["fed"]) == (False, True)
    assert synthetic["predicted"] == pytest.approx(16 / 0.110)
    assert fed["measured"] == pytest.approx(16 / 0.130)
    assert fed["error"] == pytest.approx(0, abs=1e-9)
    assert "the largest error against a measurement is 0.0%" in record["finding"]
    _, again = predicted(path, "--network-of", output, "--max-ranks", 2)
    assert again["network"] == record["network"] and again["median"] == record["median"]


def test_the_first_limit_by_number_of_ranks(tmp_path: Path) -> None:
    """On eight cores a node's loaders are fast enough for four ranks of two cores each."""
    path = scaling(tmp_path / "s.json", {1: {SYNTHETIC: 100, LOADER: 80, WARM: 100}})
    nodes = ("--ranks-per-node", 8, "--cores-per-node", 4, "--between", "0.05,100")
    _, record = predicted(path, *nodes, "--max-ranks", 64)
    limits = [row["limit"] for row in record["predictions"]]
    assert limits == ["compute"] * 3 + ["input"] + ["communication"] * 3
    assert record["finding"].startswith(
        "Compute is the first limit up to 4 ranks, then input up to 8, then communication up to 64:"
    )


def test_a_link_is_fitted_to_measurements() -> None:
    network = Network(ranks_per_node=4, within=LINKS["pcie-4"], between=LINKS["pcie-4"])
    seconds = [network.all_reduce_seconds(size, 4) for size in (LATENCY_BYTES, BUCKET_BYTES)]
    bandwidth, latency = fit_ring(*seconds, bucket_bytes=BUCKET_BYTES, ranks=4)
    assert bandwidth == pytest.approx(31.5e9, rel=1e-3)
    assert latency == pytest.approx(5.7e-6, rel=1e-3)
    with pytest.raises(DataError, match="26,214,400 bytes take no longer than 4"):
        fit_ring(1, 1, bucket_bytes=BUCKET_BYTES, ranks=4)


@pytest.mark.long
def test_the_network_of_this_machine(compute_result: Path) -> None:
    stated = Network(ranks_per_node=2, within=LINKS["nvlink-4"], between=LINKS["ethernet-100"])
    baseline = read_baseline([compute_result], batch_size=None, gradient_bytes=None)
    network = measure_network(stated, baseline, seconds=0.01)
    assert network.between == stated.between and network.slowdown >= 1
    link = network.within
    assert link.bandwidth_gb_per_second > 0 and link.latency_us > 0
    assert 0 < link.core_share <= 1
    assert "gloo between processes, measured" in str(link)


def test_links_are_listed() -> None:
    result = invoke(main, "--list-links")
    assert result.exit_code == 0
    assert len(result.output.splitlines()) == len(LINKS)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "sentence"),
    [
        (("other.json",), 2, "other.json is a result of another benchmark. Give one"),
        (("two.json",), 2, "A prediction starts from one rank"),
        (("two.json", "two.json"), 2, "Give one result of bench-scaling"),
        (("two.json", "--between", "slow"), 2, "--between slow is not a link: give GB/s and us"),
        (("two.json", "--max-ranks", "0"), 2, "--max-ranks must be at least 1, not 0"),
        (("one.json", "--gradient-mb", "inf"), 2, "--gradient-mb must be at least 1e-06, not inf"),
        (("two.json", "--within", "1,1", "--measure-network"), 2, "exclude each other"),
        (("one.json", "--network-of", "one.json"), 2, "one.json is not a result of bench-predict"),
    ],
)
def test_bench_predict_rejects(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    exit_code: int,
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    levels = {SYNTHETIC: 1.0, LOADER: 1.0, WARM: 1.0, NO_ALL_REDUCE: 1.0, LOCKSTEP: 1.0}
    scaling(Path("two.json"), {2: levels})
    scaling(Path("one.json"), {1: levels})
    Path("other.json").write_text(json.dumps(seal({"benchmark": "race"})))
    result = invoke(main, *arguments)
    assert result.exit_code == exit_code, result.output
    assert sentence in " ".join(result.output.split())


def test_a_batch_size_that_was_not_measured_is_rejected(compute_result: Path) -> None:
    result = invoke(main, compute_result, "--batch-size", 64)
    assert result.exit_code == 2
    assert "--batch-size 64 was not measured, choose from: 2." in result.output
