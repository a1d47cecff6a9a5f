"""Choose the columns of the labels by evidence: what the folders, the test tables and the sample
submission say, then the columns' names. Pure functions."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from tools.readings.columns import Column, Role

# Share of the rows whose label must be the class folder of their image.
_MIN_AGREEMENT = 0.95
# So many columns of marks are the labels, whatever else there is.
_MIN_MARKED = 3
# Roles that the only column besides the names can't have and be the label nevertheless.
_NEVER_LABELS = (Role.CONSTANT, Role.FOLD, Role.RUNS, Role.DATE)
# So many columns of positions are keypoints, not a box.
_MIN_POSITIONS = 4
# From this likelihood on, a column is called like a label.
_CALLED_A_LABEL = 3

# Indices of the columns that are one target together.
Target = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class LabelEvidence:
    """What else the download says about the labels.

    `folders`: the class folder of each row's image, None if it is in no class folder. `lacking`:
    columns that no test table has, None without a test table. `submission`: columns of the sample
    submission besides that of the images. `known`: classes that are known already.
    """

    folders: Sequence[str | None] = ()
    lacking: frozenset[str] | None = None
    submission: tuple[str, ...] = ()
    known: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class LabelChoice:
    """The possible targets, the likeliest first. `reason`: why the first one is chosen, "" if there
    was no other. `equivalent`: columns that say the same as a column of a target."""

    targets: tuple[Target, ...]
    reason: str = ""
    equivalent: tuple[str, ...] = ()
    is_certain: bool = True


def choose_label(
    columns: Sequence[Column], excluded: Collection[int], evidence: LabelEvidence
) -> LabelChoice:
    """The columns that have the target, from all `columns` but the `excluded` ones."""
    usable = [column for column in columns if column.index not in excluded and column.values]
    equal = [column for column in usable if equals_folders(column, evidence.folders)]
    known = [c for c in usable if len(c.values) > 1 and c.values <= evidence.known]
    for matching, reason in (
        (equal, "it equals the class folder of each image"),
        (known, "its values are the classes of the folders"),
    ):
        if matching:
            is_choice = len(_other_columns(usable, matching)) > 0
            return LabelChoice(targets=((matching[0].index,),), reason=reason * is_choice)
    pool, reason = _narrow(usable, evidence)
    pool, equivalent, likelihood = _without_equivalents(pool)
    marked = tuple(column.index for column in pool if column.is_marked)
    targets = (marked,) if len(marked) >= _MIN_MARKED else _targets(pool)
    if len(targets) < 2:
        others = _other_columns(usable, pool)
        if others and not reason:
            kinds = dict.fromkeys(column.role.value for column in others)
            reason = f"the other columns look like {' and '.join(list(kinds)[:3])}"
        return LabelChoice(targets=targets, reason=reason if others else "", equivalent=equivalent)
    called = [column for column in pool if likelihood[column.index] >= _CALLED_A_LABEL]
    most = max((likelihood[column.index] for column in called), default=0)
    best = [column for column in called if likelihood[column.index] == most]
    if len(best) == 1 and not best[0].is_flag:
        return LabelChoice(
            targets=((best[0].index,),), reason="it is called like a label", equivalent=equivalent
        )
    texts = [column for column in pool if column.role is Role.LABEL and not column.is_flag]
    numbers = [column for column in pool if column.role is Role.NUMBER]
    if len(texts) == 1 and len(numbers) == len(pool) - 1:
        return LabelChoice(
            targets=((texts[0].index,),),
            reason="the others are measurements",
            equivalent=equivalent,
        )
    return LabelChoice(targets=targets, equivalent=equivalent, is_certain=False)


def _other_columns(usable: Sequence[Column], chosen: Sequence[Column]) -> list[Column]:
    """The columns besides the chosen ones that say something."""
    return [
        column
        for column in usable
        if column not in chosen and column.role is not Role.CONSTANT and column.name
    ]


def _targets_pool(columns: Iterable[Column]) -> list[Column]:
    """The columns that may be targets; without any, many positions, which are keypoints then, or
    the only other column, whatever it looks like."""
    columns = list(columns)
    pool = [column for column in columns if column.role in (Role.LABEL, Role.NUMBER)]
    if any(column.is_flag for column in pool):
        # A label that all or none of the images have.
        return [column for column in columns if column in pool or column.is_flag]
    positions = [column for column in columns if column.role is Role.BOX]
    if pool or len(positions) > _MIN_POSITIONS:
        return pool or positions
    named = [column for column in columns if column.name]
    if len(named) != 1 or named[0].role in _NEVER_LABELS:
        return []
    return [] if named[0].role is Role.BOX and named[0].numbers is None else named


def _narrow(usable: Sequence[Column], evidence: LabelEvidence) -> tuple[list[Column], str]:
    """The columns that the test tables lack or that the submission names, and the reason."""
    pool, reason = _targets_pool(usable), ""
    if evidence.lacking:
        lacking = [column for column in pool if column.name in evidence.lacking]
        if lacking := lacking or [column for column in usable if column.name in evidence.lacking]:
            pool, reason = lacking, "the test table lacks it"
    asked = {name.casefold() for name in evidence.submission}
    if named := [column for column in usable if column.name.casefold() in asked]:
        return named, "the sample submission names it"
    if len(asked) > 1:
        classes = frozenset(evidence.submission)
        if by_value := [column for column in usable if column.values <= classes]:
            return by_value[:1], "the sample submission has its values"
    return pool, reason


def _targets(pool: Sequence[Column]) -> tuple[Target, ...]:
    """The columns of 0 and 1 together, the numbers together, the other columns each; likely labels
    first."""
    flags = [column for column in pool if column.is_flag]
    numbers = [column for column in pool if column.role in (Role.NUMBER, Role.BOX)]
    texts = [column for column in pool if column not in flags and column not in numbers]
    groups = [*([column] for column in texts), flags, numbers]
    groups = [group for group in groups if group]
    groups.sort(key=lambda group: -max(column.likelihood for column in group))
    return tuple(tuple(column.index for column in group) for group in groups)


def _without_equivalents(
    pool: Sequence[Column],
) -> tuple[list[Column], tuple[str, ...], dict[int, int]]:
    """Of columns whose values are a one-to-one map of each other, the one with names, not numbers,
    or the first; the names of the others; and the greatest likelihood of each group."""
    groups: dict[tuple[int, ...], list[Column]] = {}
    for column in pool:
        codes: dict[str, int] = {}
        pattern = tuple(codes.setdefault(cell, len(codes)) for cell in column.cells)
        group = groups.setdefault(pattern, [])
        both_flags = bool(group) and group[0].is_flag and column.is_flag
        if both_flags or column.role in (Role.NUMBER, Role.BOX):
            groups[(*pattern, column.index)] = [column]
        else:
            group.append(column)
    kept, dropped, likelihood = [], [], {}
    for group in filter(None, groups.values()):
        texts = [column for column in group if column.numbers is None]
        chosen = (texts or group)[0]
        kept.append(chosen)
        dropped += [column.name for column in group if column is not chosen]
        likelihood[chosen.index] = max(column.likelihood for column in group)
    return sorted(kept, key=lambda column: column.index), tuple(dropped), likelihood


def equals_folders(column: Column, folders: Sequence[str | None]) -> bool:
    """Whether nearly every cell is the class folder of its row's image."""
    pairs = _pairs(column, folders)
    equal = sum(cell == folder for cell, folder in pairs)
    return len({cell for cell, _ in pairs}) > 1 and equal >= _MIN_AGREEMENT * len(pairs)


def maps_to_folders(column: Column, folders: Sequence[str | None]) -> bool:
    """Whether each cell belongs to one class folder, and each class folder to one cell."""
    pairs = set(_pairs(column, folders))
    cells, names = {cell for cell, _ in pairs}, {folder for _, folder in pairs}
    return 1 < len(pairs) == len(cells) == len(names)


def _pairs(column: Column, folders: Sequence[str | None]) -> list[tuple[str, str]]:
    """Cell and class folder of the rows that have both."""
    return [
        (cell, folder)
        for cell, folder in zip(column.cells, folders, strict=False)
        if cell and folder is not None
    ]
