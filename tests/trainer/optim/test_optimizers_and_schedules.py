"""Learning-rate schedules and optimizers."""

from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from trainer.fine_tuning import lr_factors_for
from trainer.model.sources.find import find_model
from trainer.optim.build import build_optimizer, build_schedule, set_learning_rate
from trainer.optim.schedule import SHAPES, Schedule
from trainer.recipe_config import RecipeConfig

schedules = st.builds(
    lambda peak, warmup, fall, shape: Schedule(
        peak=peak, warmup_position=warmup, end_position=warmup + fall, shape=shape
    ),
    st.floats(1e-6, 100),
    st.integers(0, 10**7),
    st.integers(1, 10**9),
    st.sampled_from(sorted(SHAPES)),
)


@given(schedules, st.floats(0, 1), st.floats(0, 1))
def test_rises_to_the_peak_then_falls(schedule: Schedule, a: float, b: float) -> None:
    # The first of the steps would come before the peak.
    assume(schedule.shape != "step" or 3 * schedule.warmup_position < schedule.end_position)
    early, late = sorted((a, b))
    rising = [schedule(part * schedule.warmup_position) for part in (early, late)]
    length = schedule.end_position - schedule.warmup_position
    falling = [schedule(schedule.warmup_position + part * length) for part in (early, late)]
    slack = 1e-9 * schedule.peak
    assert -slack <= rising[0] <= rising[1] + slack <= schedule.peak + 2 * slack
    assert schedule.peak + slack >= falling[0] >= falling[1] - slack >= -2 * slack


@given(schedules)
def test_ends_of_the_curve(schedule: Schedule) -> None:
    if schedule.shape != "step" or schedule.warmup_position < schedule.end_position / 3:
        assert schedule(schedule.warmup_position) == pytest.approx(schedule.peak)
    assert schedule(schedule.end_position) == 0
    assert schedule(schedule.end_position + 1) == 0
    if schedule.warmup_position:
        assert schedule(0) == 0


def test_halfway_through_the_cosine_is_half_the_peak() -> None:
    assert Schedule(peak=2, warmup_position=10, end_position=30)(20) == pytest.approx(1)


def test_halfway_down_the_line_is_half_the_peak() -> None:
    schedule = Schedule(peak=2, warmup_position=10, end_position=30, shape="linear")
    assert schedule(20) == pytest.approx(1)


def test_steps_fall_to_a_tenth_after_each_third() -> None:
    schedule = Schedule(peak=2, warmup_position=50, end_position=900, shape="step")
    rates = [schedule(position) for position in (50, 299, 300, 599, 600, 899)]
    assert rates == pytest.approx([2, 2, 0.2, 0.2, 0.02, 0.02])


@pytest.mark.parametrize(("epochs", "warmup"), [(90, 5), (10, 1), (1, 0.1)])
def test_warmup_is_five_epochs_at_most_a_tenth(epochs: float, warmup: float) -> None:
    config = RecipeConfig(epochs=epochs)
    schedule = build_schedule(config, samples=1000, end_position=int(1000 * epochs))
    assert schedule.warmup_position == pytest.approx(1000 * warmup)


@given(st.integers(1, 2**16), st.sampled_from(["sgd", "lars"]))
def test_peak_is_linear_in_the_global_batch(size: int, optimizer: Any) -> None:
    config = RecipeConfig(global_batch_size=size, optimizer=optimizer)
    assert config.peak_learning_rate == pytest.approx(0.1 * size / 256)


def test_norms_and_biases_are_not_decayed() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    optimizer = build_optimizer(model, RecipeConfig(weight_decay=0.5))
    shapes = {
        group["weight_decay"]: [tuple(parameter.shape) for parameter in group["params"]]
        for group in optimizer.param_groups
    }
    assert shapes == {0.5: [(4, 3, 3, 3), (2, 4)], 0.0: [(4,), (4,), (4,), (2,)]}
    set_learning_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "lars"])
def test_the_backbone_has_a_factor_and_the_parameters_keep_their_order(optimizer: Any) -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4), nn.Linear(4, 5))

    def groups(factor: float) -> list[dict[str, Any]]:
        config = RecipeConfig(optimizer=optimizer, backbone_lr_factor=factor)
        source = find_model("resnet8")
        factors = lr_factors_for(config, source, model, {"1.weight", "1.bias"})
        built = build_optimizer(model, config, lr_factors=factors)
        set_learning_rate(built, 0.5)
        return built.param_groups

    in_order = [[id(weight) for group in groups(f) for weight in group["params"]] for f in (1, 0.1)]
    assert in_order[0] == in_order[1]
    rates = {weight: group["lr"] for group in groups(0.1) for weight in group["params"]}
    assert [rates[weight] for weight in model.parameters()] == [0.05, 0.05, 0.5, 0.5, 0.05, 0.05]
    assert [group["lr"] for group in groups(1)] == [0.5, 0.5]


def weights_after_steps(config: RecipeConfig, gradients: list[float]) -> list[torch.Tensor]:
    """A matrix of ones and a vector of ones after steps of rate 0.1 with constant gradients."""
    weights = nn.ParameterList([torch.ones(2, 2), torch.ones(2)])
    optimizer = build_optimizer(weights, config)
    set_learning_rate(optimizer, 0.1)
    for gradient in gradients:
        for weight in weights:
            weight.grad = torch.full_like(weight, gradient)
        optimizer.step()
    return [weight.detach() for weight in weights]


def test_lars_steps_like_the_paper() -> None:
    config = RecipeConfig(optimizer="lars", momentum=0.5, weight_decay=0.25)
    matrix, vector = weights_after_steps(config, [3.0, 1.0])
    # |w| / (|g| + decay |w|) of a 2 x 2 matrix of equal entries: w / (g + decay w).
    velocity = 0.1 * 0.001 * 1 / (3 + 0.25) * (3 + 0.25 * 1)
    weight = 1 - velocity
    velocity = 0.5 * velocity + 0.1 * 0.001 * weight / (1 + 0.25 * weight) * (1 + 0.25 * weight)
    assert matrix.tolist() == [[pytest.approx(weight - velocity)] * 2] * 2
    # A vector is stepped as SGD does, without decay: 0.1 * 3, then half of it and 0.1 * 1.
    assert vector.tolist() == [pytest.approx(1 - 0.3 - 0.25)] * 2


def test_lars_stays_finite_for_zero_gradients() -> None:
    matrix, _ = weights_after_steps(RecipeConfig(optimizer="lars", weight_decay=0), [0.0])
    assert torch.equal(matrix, torch.ones(2, 2))


def test_adamw_decouples_weight_decay() -> None:
    matrix, vector = weights_after_steps(RecipeConfig(optimizer="adamw", weight_decay=0.5), [2.0])
    # The first step is the rate, whatever the gradient (Loshchilov & Hutter 2019, algorithm 2).
    assert matrix.tolist() == [[pytest.approx(1 - 0.1 * 0.5 - 0.1)] * 2] * 2
    assert vector.tolist() == [pytest.approx(0.9)] * 2


@pytest.mark.parametrize("clips", [False, True])
def test_lars_with_a_loss_scaler_makes_the_same_steps(clips: bool) -> None:
    """A power of two scales gradients without rounding."""
    plain, scaled = (lars_model() for _ in range(2))
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    for seed in range(3):
        for (model, optimizer), scale in ((plain, None), (scaled, scaler)):
            loss = lars_loss(model, seed)
            (loss if scale is None else scale.scale(loss)).backward()
            if scale is None:
                optimizer.step()
            else:
                if clips:
                    scale.unscale_(optimizer)
                scale.step(optimizer)
                scale.update()
            optimizer.zero_grad()
    for expected, weight in zip(plain[0].parameters(), scaled[0].parameters(), strict=True):
        assert torch.equal(weight, expected)


def test_lars_keeps_weights_and_momenta_after_an_overflow() -> None:
    model, optimizer = lars_model()
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)

    def step(factor: float) -> list[torch.Tensor]:
        scaler.scale(factor * lars_loss(model, 0)).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        momenta = [optimizer.state[weight]["momentum_buffer"] for weight in model.parameters()]
        return [tensor.detach().clone() for tensor in (*model.parameters(), *momenta)]

    before = step(1.0)
    assert all(map(torch.equal, step(float("inf")), before))
    assert scaler.get_scale() == 2
    assert not any(map(torch.equal, step(1.0), before))


def lars_model() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    return model, build_optimizer(model, RecipeConfig(optimizer="lars"))


def lars_loss(model: nn.Module, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    loss: torch.Tensor = model(torch.randn(5, 4, generator=generator)).square().mean()
    return loss
