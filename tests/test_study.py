"""A study: its cells, what they came to, and the answers."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks.scaling_record import STRONG, Parts, Point
from benchmarks.study import main
from benchmarks.study_answers import (
    answer_accuracy,
    answer_faster,
    answer_node,
    answer_plateau,
    efficiency,
    grouped,
)
from benchmarks.study_cells import (
    Cell,
    Outcome,
    check_settings,
    is_done,
    plan_cells,
    read_outcome,
)
from pipeline.errors import DataError


def outcome(framework: str, ranks: int, seed: int = 0, **values: Any) -> Outcome:
    plain = {"seconds": 100.0, "epochs": 3.0, "images_per_second": 50.0, "data_share": 0.1}
    plain |= {"top1": 0.9, "best_top1": 0.9, "target_seconds": None}
    cell = Cell(framework=framework, ranks=ranks, seed=seed, directory=Path())
    return Outcome(cell=cell, **{**plain, **values})


def test_each_configuration_comes_once_before_one_comes_twice(tmp_path: Path) -> None:
    cells = plan_cells(tmp_path, ("pytorch", "keras"), (1, 2), (0, 7))
    assert len({cell.directory for cell in cells}) == 8
    assert [cell.seed for cell in cells] == [0] * 4 + [7] * 4
    assert str(cells[3]) == "Keras, 2 ranks, seed 0"


def write_run(cell: Cell, *records: dict[str, Any], **settings: Any) -> None:
    cell.directory.mkdir(parents=True)
    common = {"process": 0, "position": 10, "epoch": 2.0}
    lines = [json.dumps({**common, **record}) + "\n" for record in records]
    (cell.directory / "metrics.jsonl").write_text("".join(lines))
    (cell.directory / "config.json").write_text(json.dumps(settings))


def test_a_cell_is_done_when_its_training_is(tmp_path: Path) -> None:
    cell, *_ = plan_cells(tmp_path, ("pytorch",), (1,), (0,))
    assert not is_done(cell)
    scores = [
        {"kind": "evaluation", "elapsed_seconds": 9.0 * n, "loss": 1.0, "top1": top1}
        for n, top1 in enumerate((0.5, 0.8, 0.7), start=1)
    ]
    write_run(cell, *scores, epochs=2, crop_area=(0.5, 1))
    assert not is_done(cell)
    with pytest.raises(DataError, match="holds no finished training"):
        read_outcome(cell, None)
    total = {"images_per_second": 20.0, "data_share": 0.25}
    with (cell.directory / "metrics.jsonl").open("a") as file:
        summary = {"kind": "summary", "elapsed_seconds": 30.0, "total": total}
        file.write(json.dumps({"process": 0, "position": 10, "epoch": 2.0, **summary}) + "\n")
    assert is_done(cell)
    found = read_outcome(cell, 0.75)
    assert (found.seconds, found.epochs, found.top1, found.best_top1) == (30.0, 2.0, 0.7, 0.8)
    assert found.target_seconds == 18.0 and read_outcome(cell, 0.9).target_seconds is None
    check_settings(cell, {"epochs": 2, "crop_area": (0.5, 1)})
    with pytest.raises(DataError, match="trained with epochs 2, this study has 3"):
        check_settings(cell, {"epochs": 3})


def test_faster_is_time_to_the_end_or_way_in_a_time() -> None:
    groups = grouped([outcome("pytorch", 2, seconds=60.0), outcome("pytorch", 1)])
    said = answer_faster(groups, timed=False, target=None)
    assert "the end after 1:00 instead of 1:40 of 1 rank: 1.67 times as fast, 83%" in said
    timed = grouped([outcome("keras", 1, epochs=2.0), outcome("keras", 4, epochs=6.0)])
    said = answer_faster(timed, timed=True, target=None)
    assert "Keras, 4 ranks reach 6.00 epochs instead of the 2.00 of 1 rank: 3.00 times" in said
    reached = [outcome("keras", ranks, target_seconds=80.0 / ranks) for ranks in (1, 2)]
    assert "top-1 75% after 0:40 instead of 1:20" in answer_faster(
        grouped(reached), timed=False, target=0.75
    )
    assert "nothing to compare" in answer_faster(groups[:1], timed=False, target=None)


def test_accuracy_holds_within_the_spread_of_seeds() -> None:
    def of(*scores: tuple[int, int, float]) -> str:
        return answer_accuracy(
            grouped([outcome("pytorch", ranks, seed, top1=top1) for ranks, seed, top1 in scores])
        )

    close = of((1, 0, 0.90), (1, 1, 0.92), (2, 0, 0.915), (2, 1, 0.915))
    assert "0.50 points apart; seeds of one configuration are up to 2.00 points apart" in close
    assert "accuracy holds" in close
    assert "accuracy differs" in of((1, 0, 0.9), (1, 1, 0.91), (2, 0, 0.8), (2, 1, 0.81))
    assert "one seed each says nothing of chance" in of((1, 0, 0.9), (2, 0, 0.8))
    assert "no validation split" in answer_accuracy(grouped([outcome("pytorch", 1, top1=None)]))


def test_a_plateau_has_its_reason() -> None:
    groups = grouped([outcome("pytorch", 1), outcome("pytorch", 2, images_per_second=60.0)])
    assert efficiency(groups[1], groups) == pytest.approx(0.6)
    nothing = dict.fromkeys(("compute", "waiting", "interference", "input", "storage"), 0.0)
    losses = Parts(**{**nothing, "communication": 0.3, "compute": 0.1})
    point = Point(
        mode=STRONG,
        world_size=2,
        nodes=1,
        batch_size=4,
        gradient_bytes=1,
        rungs={},
        rank_cores=(),
        shares=losses,
        cold_shares=None,
        share_intervals={},
        efficiency=0.6,
        efficiency_interval=(0.5, 0.7),
        losses=losses,
        limit="communication",
        sentence="It is bound by communication.",
        gates=(),
    )
    said = answer_plateau(groups, [point])
    assert "PyTorch flattens: 2 ranks are 60% efficient." in said
    assert "loses 30% to communication, 10% to compute of a step; It is bound" in said


def test_one_more_node_is_predicted() -> None:
    prediction = {
        "median": {"1 rank": 10.0, "2 ranks": 18.0, "4 ranks": 27.0},
        "predictions": [{"limit": "compute"}, {"limit": "compute"}, {"limit": "network"}],
    }
    said = answer_node(prediction, 2)
    assert "27.00 images/s instead of 18.00, 1.50 times as many" in said and "network" in said
    assert answer_node(prediction, 8) == "Not predicted for 16 ranks."


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--frameworks", "pytorch,mxnet"), "no list of pytorch and keras"),
        (("--seeds", "0,-1"), "no list of seeds"),
        (("--to-end",), "A study trains to the end"),
        (("--synthetic",), "real input"),
    ],
)
def test_the_command_refuses(arguments: tuple[str, ...], sentence: str) -> None:
    result = CliRunner().invoke(main, [*arguments, "--out", "nowhere"])
    assert result.exit_code == 2 and sentence in result.output
