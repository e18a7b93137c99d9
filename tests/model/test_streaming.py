"""Ids become text while they come: whole characters, and nothing of a stop string."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from videollm.model.streaming import StopFilter, TextDecoder

ALPHABET = "abé日🙂 "


@settings(max_examples=100)
@given(text=st.text(alphabet="ares \n0:é日🙂"))
def test_the_pieces_of_a_text_are_whole_characters_and_join_to_it(shared_processor, text):
    tokenizer = shared_processor.tokenizer
    decoder = TextDecoder(tokenizer)
    pieces = [decoder.push(id_) for id_ in tokenizer.encode(text, add_special_tokens=False)]
    assert not any("�" in piece for piece in pieces)
    assert "".join(pieces) + decoder.finish() == text


@settings(max_examples=100)
@given(data=st.data())
def test_any_ids_give_all_that_is_readable_when_they_are_decoded_together(shared_processor, data):
    tokenizer = shared_processor.tokenizer
    bytes_ = [
        tokenizer.convert_tokens_to_ids(f"<0x{byte:02X}>") for byte in (0xF0, 0x9F, 0x99, 0x82, 0x41, 0xC3)
    ]
    ids = data.draw(
        st.lists(st.one_of(st.sampled_from(bytes_), st.integers(0, len(tokenizer) - 1)), max_size=30)
    )
    decoder = TextDecoder(tokenizer)
    text = "".join([*map(decoder.push, ids), decoder.finish()])
    whole = tokenizer.decode(ids, skip_special_tokens=True)
    if "�" not in whole:
        assert text == whole
    rest = iter(text)
    assert all(character in rest for character in whole.replace("�", ""))


def test_text_is_given_as_soon_as_it_is_complete(shared_processor):
    decoder = TextDecoder(shared_processor.tokenizer)
    ids = shared_processor.tokenizer.encode("a🙂", add_special_tokens=False)
    assert [decoder.push(id_) for id_ in ids] == ["a", "", "", "", "🙂"]


pieces_of_text = st.lists(st.text(alphabet=ALPHABET, max_size=5), max_size=12)
stop_strings = st.lists(st.text(alphabet=ALPHABET, min_size=1, max_size=4), max_size=3)


@settings(max_examples=300)
@given(pieces=pieces_of_text, stop=stop_strings)
def test_the_text_ends_before_the_first_stop_string_however_it_is_cut(pieces, stop):
    # What comes is cut into pieces; the stop string that is complete first ends the text, wherever the cuts are.
    stops, whole = StopFilter(stop), "".join(pieces)
    shown = "".join(stops.push(piece) for piece in pieces)
    ends = [whole.find(text) for text in stop if text in whole]
    assert stops.stopped == bool(ends)
    if not ends:
        assert shown + stops.finish() == whole
    else:
        assert whole.startswith(shown)
        assert not any(text in shown for text in stop)
        assert any(whole.startswith(text, len(shown)) for text in stop)


@given(pieces=pieces_of_text)
def test_without_stop_strings_nothing_is_held_back(pieces):
    stops = StopFilter(("",))
    assert [stops.push(piece) for piece in pieces] == pieces
    assert stops.finish() == ""


def test_a_stop_string_split_over_pieces_is_never_shown():
    stops = StopFilter(("END",))
    assert [stops.push(piece) for piece in ("ab E", "N", "e E", "ND cd")] == ["ab ", "", "ENe ", ""]
    assert stops.stopped
