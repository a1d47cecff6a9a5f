"""A step is that of its whole batch, however it is computed."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from trainer.model.ema import ModelEma, decay_at
from trainer.train_step import TrainStep


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))


def batch(size: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(size, 3, 2, 2, generator=generator)
    return images, torch.randint(3, (size,), generator=generator)


def plain(model: nn.Module, **settings: object) -> TrainStep:
    return TrainStep(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=1.0),
        **settings,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("parts", [2, 3, 12])
def test_accumulated_parts_are_one_step(parts: int) -> None:
    whole, split = network(), network()
    for _ in range(3):
        loss = plain(whole)(*batch(), 0.5)
        torch.testing.assert_close(plain(split, accumulate_steps=parts)(*batch(), 0.5), loss)
    for expected, weight in zip(whole.parameters(), split.parameters(), strict=True):
        torch.testing.assert_close(weight, expected)


def test_a_clipped_step_has_the_norm_that_was_asked_for() -> None:
    model = network()
    before = nn.utils.parameters_to_vector(model.parameters()).clone()
    plain(model, grad_clip_norm=0.01)(*batch(), 1.0)
    step = nn.utils.parameters_to_vector(model.parameters()) - before
    assert step.detach().norm().item() == pytest.approx(0.01, rel=1e-3)


def test_short_gradients_are_not_clipped() -> None:
    clipped, free = network(), network()
    plain(clipped, grad_clip_norm=1e6)(*batch(), 1.0)
    plain(free)(*batch(), 1.0)
    for expected, weight in zip(free.parameters(), clipped.parameters(), strict=True):
        torch.testing.assert_close(weight, expected)


def test_the_loss_is_that_before_the_step() -> None:
    model = network()
    images, labels = batch()
    expected = cross_entropy(model(images), labels).detach()
    loss = plain(model)(images, labels, 1.0)
    torch.testing.assert_close(loss, expected)
    assert not loss.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_average_follows_the_formula() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    averaged = ModelEma(model, 0.5)
    weight, expected = model[0].weight, model[0].weight.item()
    for step in range(8):
        with torch.no_grad():
            weight.fill_(step)
            model[1].running_mean.fill_(-step)
            model[1].num_batches_tracked.fill_(step)
        averaged.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
        assert averaged.model[0].weight.item() == pytest.approx(expected)
    assert averaged.model[1].num_batches_tracked.item() == 7
    assert averaged.model[1].running_mean.item() < -3
    assert weight.item() == 7
    assert not any(parameter.requires_grad for parameter in averaged.model.parameters())


def test_the_first_steps_count_more() -> None:
    assert [decay_at(step, 0.99) for step in (0, 1, 10**6)] == [0.1, pytest.approx(2 / 11), 0.99]


def test_an_update_moves_the_average() -> None:
    model = network()
    averaged = ModelEma(model, 0.9)
    update = plain(model, averaged=averaged)
    for step in range(3):
        update(*batch(), 0.5, step=step)
    start, average, end = (
        nn.utils.parameters_to_vector(each.parameters()).detach()
        for each in (network(), averaged.model, model)
    )
    assert 0 < (end - average).norm() < (end - start).norm()
