"""From a trained SentencePiece model to a tokenizer directory that transformers loads, with chat template and specials.

The directory holds ``tokenizer.json`` (what transformers runs) and ``tokenizer.model`` (what SentencePiece and other
runtimes run); both give the same ids, and building fails where they would not. Load it with
``AutoTokenizer.from_pretrained(directory)``: a tokenizer class called with ``vocab_file=`` builds an empty vocabulary.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import sentencepiece
from tokenizers import AddedToken, Tokenizer, decoders, normalizers
from tokenizers.models import BPE, Unigram
from transformers import PreTrainedTokenizerFast

from ..errors import ConfigError

UNKNOWN, BOS, EOS, PAD = "<unk>", "<s>", "</s>", "<pad>"
SYSTEM, USER, ASSISTANT, END = "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"
VISION_START, VISION_END, VIDEO_PAD = "<|vision_start|>", "<|vision_end|>", "<|video_pad|>"

#: Tokens that ordinary text never produces, in the order of their ids behind unknown, beginning, end and padding.
CONTROL_TOKENS = (SYSTEM, USER, ASSISTANT, END, VISION_START, VISION_END, VIDEO_PAD)

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>\\n' + message['content'] + '<|end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
)

#: Texts on which both files must agree: words, times, blanks, lines, other scripts, and specials typed by a person.
SAMPLE_TEXTS = (
    "What colour is the star?",
    "a small red star and a large blue ring",
    "from 0:03 to 1:02:05",
    "  two  blanks and a trailing one ",
    "[0:00-0:04] A small red star moves left.\n[0:04-0:09] A textured scene.\n",
    "Größe, naïve, 日本語, 🙂 and a tab\t",
    "typed: <|video_pad|> <|end|> </s> <s> <unk> <0x41> <video>",
    "▁",
    "",
)

_NEVER_CHOSEN = -1000.0  # far below any spelling out of a special in ASCII pieces


def train_sentencepiece(
    texts: Iterable[str],
    model_path: str | os.PathLike[str],
    *,
    vocab_size: int = 800,
    model_type: Literal["bpe", "unigram"] = "bpe",
    whole: Sequence[str] = (),
    **options: Any,
) -> Path:
    """Trains a SentencePiece model in the one form that :func:`build_tokenizer` reproduces exactly.

    Text is kept as it is (no normalisation, no blank put in front), digits stand alone so that times are spelled the
    same everywhere, a line break is a piece of its own, and what was never seen falls back to bytes.

    Args:
        texts: Training texts; a text may hold several lines.
        model_path: Where to write the model; its suffix should be ``.model``.
        vocab_size: Size of the vocabulary, with the 256 bytes, the specials and printable ASCII.
        model_type: ``"bpe"`` or ``"unigram"``.
        whole: Texts that are always one piece, wherever they stand; give the same to :func:`build_tokenizer`.
        **options: Further options of ``SentencePieceTrainer.train``.

    Returns:
        The path of the model.
    """
    path = Path(model_path)
    with path.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=file,
            vocab_size=vocab_size,
            model_type=model_type,
            byte_fallback=True,
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            split_digits=True,
            character_coverage=1.0,
            required_chars="".join(map(chr, range(ord("!"), ord("~") + 1))),
            user_defined_symbols=["\n", *whole],
            control_symbols=list(CONTROL_TOKENS),
            unk_id=0,
            bos_id=1,
            eos_id=2,
            pad_id=3,
            pad_piece=PAD,
            **{"minloglevel": 2, "num_threads": 1, **options},
        )
    return path


def build_tokenizer(
    spm_model_path: str | os.PathLike[str],
    out_dir: str | os.PathLike[str],
    *,
    chat_template: str = CHAT_TEMPLATE,
    samples: Sequence[str] = SAMPLE_TEXTS,
    whole: Sequence[str] = (),
    model_max_length: int | None = None,
) -> PreTrainedTokenizerFast:
    """Turns a SentencePiece model with byte fallback into a saved tokenizer directory.

    Special tokens that the model lacks are put behind its pieces. Afterwards the directory is loaded anew and must give
    SentencePiece's own ids for every sample, and their texts back.

    Args:
        spm_model_path: Model trained by :func:`train_sentencepiece`, or with the same options.
        out_dir: Directory to write ``tokenizer.json``, ``tokenizer.model`` and their configuration to.
        chat_template: Jinja template of a conversation.
        samples: Texts on which both files must agree; give some of the training texts.
        whole: The texts that the model was trained to keep whole.
        model_max_length: Longest prompt that the language model takes, if that is known.

    Returns:
        The tokenizer as loaded from ``out_dir``.

    Raises:
        ConfigError: The model has no byte fallback, or the two files do not agree.
    """
    directory = Path(out_dir)
    directory.mkdir(parents=True, exist_ok=True)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(spm_model_path))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_backend(processor, whole),
        unk_token=UNKNOWN,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        extra_special_tokens=list(CONTROL_TOKENS),
        padding_side="left",
        add_bos_token=False,
        add_eos_token=False,
        clean_up_tokenization_spaces=False,
        **({} if model_max_length is None else {"model_max_length": model_max_length}),
    )
    tokenizer.chat_template = chat_template
    tokenizer.save_pretrained(directory)
    if Path(spm_model_path).resolve() != (directory / "tokenizer.model").resolve():
        shutil.copyfile(spm_model_path, directory / "tokenizer.model")
    loaded: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(directory)
    _check_agreement(loaded, processor, samples)
    return loaded


def _backend(processor: sentencepiece.SentencePieceProcessor, whole: Sequence[str]) -> Tokenizer:
    pieces = [processor.id_to_piece(index) for index in range(processor.get_piece_size())]
    if not any(map(processor.is_byte, range(len(pieces)))):
        raise ConfigError("the SentencePiece model has no byte fallback; train it with byte_fallback=True")
    tokenizer = Tokenizer(
        _bpe(processor, pieces, {"\n", *whole}) if _is_bpe(processor) else _unigram(processor, pieces)
    )
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.add_special_tokens(
        [
            AddedToken(token, special=True, normalized=False)
            for token in (UNKNOWN, BOS, EOS, PAD, *CONTROL_TOKENS)
        ]
    )
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in whole])
    return tokenizer


def _is_text(processor: sentencepiece.SentencePieceProcessor, index: int) -> bool:
    return not (processor.is_control(index) or processor.is_byte(index) or processor.is_unknown(index))


def _is_bpe(processor: sentencepiece.SentencePieceProcessor) -> bool:
    # A BPE model's scores are the negated ranks of its merges: 0, -1, -2, …; log probabilities never are.
    scores = [
        processor.get_score(index)
        for index in range(processor.get_piece_size())
        if _is_text(processor, index)
    ]
    return all(score == int(score) for score in scores)


def _bpe(processor: sentencepiece.SentencePieceProcessor, pieces: list[str], unmerged: set[str]) -> BPE:
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    mergeable = {
        piece for index, piece in enumerate(pieces) if _is_text(processor, index) and piece not in unmerged
    }
    ranked = sorted(mergeable, key=lambda piece: -processor.get_score(vocabulary[piece]))
    merges = [
        (piece[:cut], piece[cut:])
        for piece in ranked
        for cut in range(1, len(piece))
        if piece[:cut] in mergeable and piece[cut:] in mergeable
    ]
    return BPE(vocab=vocabulary, merges=merges, unk_token=UNKNOWN, fuse_unk=True, byte_fallback=True)


def _unigram(processor: sentencepiece.SentencePieceProcessor, pieces: list[str]) -> Unigram:
    # Unlike SentencePiece, the backend may match specials and bytes in text: so bad a score keeps it from doing so.
    scores = [
        processor.get_score(index) if _is_text(processor, index) else _NEVER_CHOSEN
        for index in range(len(pieces))
    ]
    return Unigram(
        vocab=list(zip(pieces, scores, strict=True)), unk_id=processor.unk_id(), byte_fallback=True
    )


def _check_agreement(
    tokenizer: PreTrainedTokenizerFast,
    processor: sentencepiece.SentencePieceProcessor,
    samples: Sequence[str],
) -> None:
    for text in samples:
        expected = processor.encode(text)
        got = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        if got != expected:
            raise ConfigError(
                f"tokenizer.json gives {got} and tokenizer.model {expected} for {text!r}; "
                "train the SentencePiece model with videollm.model.tokenization.train_sentencepiece"
            )
        restored = tokenizer.decode(got, clean_up_tokenization_spaces=False)
        if restored != text.replace("▁", " "):
            raise ConfigError(
                f"the tokenizer turns {text!r} into {restored!r}; was it trained without normalisation?"
            )
