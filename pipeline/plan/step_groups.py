"""Groups: steps that DALI decodes in one run, to be handed out one by one.

DALI's threads wait for each other behind each operator of a run, which takes a tenth of their time
where a run is 64 small photographs; a run of several steps has that wait once for all of them. A
batch doesn't depend on the group it is decoded in.
"""

from collections.abc import Iterator

from pipeline.plan.plan import Plan

# Images in a run: with more of them the wait is too short to be measured.
GROUP_IMAGES = 256
# What the images of a run may take, decoded whole.
GROUP_BYTES = 2**28


def max_group_size(
    *, batch_size: int, image_bytes: int, read_ahead: int, on_gpu: bool, checked: bool
) -> int:
    """How many steps a group may have.

    One on a GPU, which a batch keeps busy by itself; elsewhere as many as bytes are read ahead for,
    so that --read-ahead bounds this memory too. `image_bytes` are those of a decoded image, of its
    stored or its final size, whichever is larger. One also where bytes aren't `checked`: DALI 2.4
    crashes on an image without a header among more than about 32.
    """
    if on_gpu or not checked:
        return 1
    images = min(GROUP_IMAGES, GROUP_BYTES // image_bytes)
    return max(1, min(images // batch_size, read_ahead))


def prefetch_groups(prefetch: int, most: int) -> int:
    """The runs that hold `prefetch` steps ready, two at least, unless only one step is asked for:
    DALI decodes one while the steps of the other are taken."""
    return min(prefetch, max(2, -(-prefetch // most)))


def max_lookahead(prefetch: int, read_ahead: int, most: int) -> int:
    """The most steps that are decoded, being decoded, or read when one is taken."""
    return prefetch_groups(prefetch, most) * most + most + read_ahead


def groups(plan: Plan, most: int) -> Iterator[range]:
    """The steps of each group of a plan: images of one size, and at most `most` steps.

    The first groups are small, since the first batch is waited for: 1, 2, 4 ... steps.
    """
    step, limit = 0, 1
    while step != plan.steps:
        end = step + 1
        size_px = plan.image_size_at(step)
        while end != plan.steps and end - step < limit and plan.image_size_at(end) == size_px:
            end += 1
        yield range(step, end)
        step, limit = end, min(2 * limit, most)


def step_slices(samples: int, batch_size: int) -> list[slice]:
    """Where in a group of `samples` those of each step stand."""
    return [slice(start, start + batch_size) for start in range(0, samples, batch_size)]
