"""SentencePiece models become tokenizer directories that give the same ids."""

from __future__ import annotations

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from videollm.errors import ConfigError
from videollm.model.tokenization import CONTROL_TOKENS, EOS, build_tokenizer, train_sentencepiece


@pytest.fixture(scope="module", params=["bpe", "unigram"])
def pair(request, corpus, tmp_path_factory):
    """The directory's tokenizer and SentencePiece's own processor."""
    directory = tmp_path_factory.mktemp(request.param)
    options = {} if request.param == "bpe" else {"hard_vocab_limit": False}
    trained = train_sentencepiece(
        corpus, directory / "x.model", vocab_size=420, model_type=request.param, **options
    )
    build_tokenizer(trained, directory / "saved", samples=corpus)
    loaded = AutoTokenizer.from_pretrained(directory / "saved")
    return loaded, sentencepiece.SentencePieceProcessor(
        model_file=str(directory / "saved" / "tokenizer.model")
    )


# Letters that merge, what specials are made of, and characters of one to four bytes that the corpus lacks.
LETTERS = "aeglmorst  \n01:<|>/_sx" + "Zß\téж日本\u0301\u200b🙂\r"


@settings(max_examples=150)
@given(text=st.lists(st.sampled_from([*LETTERS, "moves left", "</s>", "<0x41>", "<|end|>"])).map("".join))
def test_both_files_give_the_same_ids_and_the_text_back(pair, text):
    tokenizer, processor = pair
    ids = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
    assert ids == processor.encode(text)
    assert tokenizer.decode(ids) == text


def test_special_tokens_have_the_same_ids_in_both_files(pair):
    tokenizer, processor = pair
    for token in (EOS, *CONTROL_TOKENS):
        assert tokenizer.convert_tokens_to_ids(token) == processor.piece_to_id(token)
    assert len(tokenizer) == processor.get_piece_size()


def test_a_special_token_typed_as_text_is_spelled_out(pair):
    tokenizer, _ = pair
    for token in (EOS, *CONTROL_TOKENS):
        ids = tokenizer.encode(token, add_special_tokens=False, split_special_tokens=True)
        assert tokenizer.convert_tokens_to_ids(token) not in ids
        assert tokenizer.encode(token, add_special_tokens=False) == [tokenizer.convert_tokens_to_ids(token)]


def test_the_chat_template_travels_with_the_directory(pair):
    text = pair[0].apply_chat_template(
        [{"role": "user", "content": "hi"}], tokenize=False, add_generation_prompt=True
    )
    assert text == "<|user|>\nhi<|end|>\n<|assistant|>\n"


def test_a_model_without_byte_fallback_is_refused(corpus, tmp_path):
    with (tmp_path / "plain.model").open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(corpus), model_writer=file, vocab_size=40, minloglevel=2
        )
    with pytest.raises(ConfigError, match="byte_fallback=True"):
        build_tokenizer(tmp_path / "plain.model", tmp_path / "out")


def test_a_model_that_changes_its_text_is_refused(corpus, tmp_path):
    with (tmp_path / "prefix.model").open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(corpus),
            model_writer=file,
            vocab_size=420,
            model_type="bpe",
            byte_fallback=True,
            minloglevel=2,
        )
    with pytest.raises(ConfigError, match="train_sentencepiece"):
        build_tokenizer(tmp_path / "prefix.model", tmp_path / "out")
