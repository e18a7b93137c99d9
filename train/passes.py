"""Which conversations of a micro batch go through the model together, and which share a row.

A pass costs what its longest row costs, for each of its rows; and attention looks from every token of a row at every
other. So a row is as long as the longest conversation in its pass and no longer, short ones fill what others leave,
and where conversations are short a pass has more rows.
"""

from __future__ import annotations

from collections.abc import Sequence

Rows = list[list[int]]

#: Lengths of packed rows are multiples of this, as matrix units like them. Passes differ in shape anyway.
PACKED_MULTIPLE = 8


def plan_passes(lengths: Sequence[int], tokens: int) -> list[Rows]:
    """Packs conversations into rows, and rows into passes, by first fit, the longest first.

    Args:
        lengths: Tokens of each conversation.
        tokens: Places of a pass, about: it has as many rows as fit, and at least one.

    Returns:
        For each pass its rows, for each row the numbers of its conversations; passes of long rows come first.
    """
    waiting = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    planned: list[Rows] = []
    while waiting:
        longest = lengths[waiting[0]]
        rows, waiting = _fill(waiting, lengths, longest, max(1, tokens // longest))
        planned.append(rows)
    return planned


def _fill(waiting: list[int], lengths: Sequence[int], longest: int, count: int) -> tuple[Rows, list[int]]:
    """Fills ``count`` rows of ``longest`` tokens; returns them and what found no place."""
    rows: Rows = []
    room: list[int] = []
    left = []
    for number in waiting:
        place = next((row for row, free in enumerate(room) if free >= lengths[number]), None)
        if place is not None:
            rows[place].append(number)
            room[place] -= lengths[number]
        elif len(rows) < count:
            rows.append([number])
            room.append(longest - lengths[number])
        else:
            left.append(number)
    return rows, left
