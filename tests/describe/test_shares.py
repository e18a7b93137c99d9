"""Files shared out among processes: all of them, once, and in the end to whoever has time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from videollm.describe.processes import _Shares
from videollm.describe.rows import Source

WHO = ("one", "two", "three")


@given(st.integers(0, 40), st.integers(1, 12), st.data())
def test_every_file_is_handed_out_once_and_nobody_idles_while_files_wait(
    count: int, ahead: int, data: st.DataObject
) -> None:
    files = [Source(Path(f"{number}.mp4")) for number in range(count)]
    shares, held, given_out = _Shares(files, len(WHO), ahead), Counter[str](), []
    while len(given_out) < count or held.total():
        who = data.draw(st.sampled_from(WHO))
        if held[who] and data.draw(st.booleans()):
            shares.done(who)
            held[who] -= 1
            continue
        left = count - len(given_out)
        file = shares.take(who)
        if file is None:
            # Nobody without work is refused while there is any, and nobody ever who has less than a fair share.
            assert not left or held[who] * len(WHO) >= held.total() + left
            if not left and not held.total():
                break
            if not held[who]:
                continue
            shares.done(who)
            held[who] -= 1
        else:
            given_out.append(file)
            held[who] += 1
    assert given_out == files


def test_as_long_as_the_end_is_far_away_a_process_may_take_what_it_can_hold() -> None:
    shares = _Shares([Source(Path(f"{number}.mp4")) for number in range(40)], 2, ahead=8)
    taken = [shares.take("one") for _ in range(30)]
    assert None not in taken
