"""Groups: consecutive steps that DALI decodes in one run.

DALI's threads wait for each other after each operator of a run, which takes a tenth of their time
if a run has 64 small photographs; a run of several steps waits once for all of them. A batch does
not depend on the group it is decoded in.
"""

from collections.abc import Iterator

from pipeline.plan.plan import Plan

# Images per run: with more, the wait is too short to measure.
GROUP_IMAGES = 256
# Limit for the images of a run, decoded in full.
GROUP_BYTES = 2**28


def max_group_size(
    *, batch_size: int, image_bytes: int, read_ahead: int, on_gpu: bool, checked: bool
) -> int:
    """The most steps of a group.

    One on a GPU, which a single batch keeps busy. On a CPU at most `read_ahead`, so that
    --read-ahead also bounds this memory. `image_bytes` is the size of a decoded image in bytes, as
    stored or as resized, whichever is larger. One if checksums aren't `checked`: DALI 2.4 crashes
    on an image without a header among more than about 32.
    """
    if on_gpu or not checked:
        return 1
    images = min(GROUP_IMAGES, GROUP_BYTES // image_bytes)
    return max(1, min(images // batch_size, read_ahead))


def prefetch_groups(prefetch: int, group: int) -> int:
    """The groups that hold `prefetch` steps: at least two, so that DALI decodes one while the
    consumer uses the other, unless `prefetch` is 1."""
    return min(prefetch, max(2, -(-prefetch // group)))


def max_lookahead(prefetch: int, read_ahead: int, group: int) -> int:
    """The most steps that the loader has read or decoded beyond the consumer's."""
    return prefetch_groups(prefetch, group) * group + group + read_ahead


def groups(plan: Plan, max_steps: int) -> Iterator[range]:
    """Yield the groups of a plan: at most `max_steps` steps with images of one size.

    The first groups have 1, 2, 4 ... steps, so that the first batch comes soon.
    """
    step, limit = 0, 1
    while step != plan.steps:
        end = step + 1
        size_px = plan.image_size_at(step)
        while end != plan.steps and end - step < limit and plan.image_size_at(end) == size_px:
            end += 1
        yield range(step, end)
        step, limit = end, min(2 * limit, max_steps)


def step_slices(samples: int, batch_size: int) -> list[slice]:
    """The slice of each step in a group of `samples` samples."""
    return [slice(start, start + batch_size) for start in range(0, samples, batch_size)]
