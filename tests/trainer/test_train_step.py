"""A step: micro-batches, clipping, loss and average."""

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


@pytest.mark.parametrize("count", [2, 3, 12])
def test_microbatches_make_one_step(count: int) -> None:
    whole, split = network(), network()
    for _ in range(3):
        loss = plain(whole)(*batch(), 0.5)
        torch.testing.assert_close(plain(split, accumulate_steps=count)(*batch(), 0.5), loss)
    for expected, weight in zip(whole.parameters(), split.parameters(), strict=True):
        torch.testing.assert_close(weight, expected)


def test_clips_the_gradient_to_the_given_norm() -> None:
    model = network()
    before = nn.utils.parameters_to_vector(model.parameters()).clone()
    plain(model, grad_clip_norm=0.01)(*batch(), 1.0)
    step = nn.utils.parameters_to_vector(model.parameters()) - before
    assert step.detach().norm().item() == pytest.approx(0.01, rel=1e-3)


def test_does_not_clip_short_gradients() -> None:
    clipped, free = network(), network()
    plain(clipped, grad_clip_norm=1e6)(*batch(), 1.0)
    plain(free)(*batch(), 1.0)
    for expected, weight in zip(free.parameters(), clipped.parameters(), strict=True):
        torch.testing.assert_close(weight, expected)


def test_returns_the_loss_before_the_step() -> None:
    model = network()
    images, labels = batch()
    expected = cross_entropy(model(images), labels).detach()
    loss = plain(model)(images, labels, 1.0)
    torch.testing.assert_close(loss, expected)
    assert not loss.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_average_equals_the_formula() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    ema = ModelEma(model, 0.5)
    weight, expected = model[0].weight, model[0].weight.item()
    for step in range(8):
        with torch.no_grad():
            weight.fill_(step)
            model[1].running_mean.fill_(-step)
            model[1].num_batches_tracked.fill_(step)
        ema.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
        assert ema.model[0].weight.item() == pytest.approx(expected)
    assert ema.model[1].num_batches_tracked.item() == 7
    assert ema.model[1].running_mean.item() < -3
    assert weight.item() == 7
    assert not any(parameter.requires_grad for parameter in ema.model.parameters())


def test_the_decay_is_lower_in_the_first_steps() -> None:
    assert [decay_at(step, 0.99) for step in (0, 1, 10**6)] == [0.1, pytest.approx(2 / 11), 0.99]


def test_a_step_updates_the_average() -> None:
    model = network()
    ema = ModelEma(model, 0.9)
    train_step = plain(model, ema=ema)
    for step in range(3):
        train_step(*batch(), 0.5, step=step)
    start, average, end = (
        nn.utils.parameters_to_vector(module.parameters()).detach()
        for module in (network(), ema.model, model)
    )
    assert 0 < (end - average).norm() < (end - start).norm()
