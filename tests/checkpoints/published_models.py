"""Tiny models with random weights, saved by transformers' own classes in the hub's layout, with their tokenizers."""

import json

import sentencepiece
import torch
from tokenizers import AddedToken
from tokenizers.implementations import BertWordPieceTokenizer, ByteLevelBPETokenizer
from transformers import (
    AutoTokenizer,
    BertTokenizer,
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2QFormerConfig,
    Blip2VisionConfig,
    CLIPVisionConfig,
    GPT2Tokenizer,
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
    InstructBlipQFormerConfig,
    InstructBlipVideoConfig,
    InstructBlipVideoForConditionalGeneration,
    InstructBlipVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextVideoConfig,
    LlavaNextVideoForConditionalGeneration,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    OPTConfig,
    Qwen2Config,
    Qwen2Tokenizer,
    SiglipVisionConfig,
)

TEXTS = [
    "What happens in this video?",
    "USER: <image> What is on the left? ASSISTANT: a red star",
    "system user assistant: the man opens the door, and then walks away.",
] * 20

# Ids of the word embeddings that end rows and frames.
TARSIER_MARKS = {"image_newline_idx": 320, "image_new_idx": 321}

_TOWER = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": 56,
    "patch_size": 14,
}
_TEXT = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    # Wide enough that the likeliest word is no matter of rounding.
    "initializer_range": 0.2,
}


def save_llama_tokenizer(directory):
    """A SentencePiece tokenizer as Llama's, with the token for images behind its pieces."""
    texts = directory / "texts"
    texts.write_text("\n".join(TEXTS))
    sentencepiece.SentencePieceTrainer.train(
        input=str(texts),
        model_prefix=str(directory / "tokenizer"),
        vocab_size=360,
        model_type="bpe",
        byte_fallback=True,
        minloglevel=2,
    )
    settings = {
        "tokenizer_class": "LlamaTokenizer",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    tokenizer = AutoTokenizer.from_pretrained(directory)
    return _finish(tokenizer, directory)


def save_qwen_tokenizer(directory):
    """A byte-level BPE tokenizer as Qwen2's."""
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(TEXTS, vocab_size=330)
    bpe.save_model(str(directory))
    tokenizer = Qwen2Tokenizer(str(directory / "vocab.json"), str(directory / "merges.txt"))
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.eos_token = "<|im_end|>"
    return _finish(tokenizer, directory)


def save_opt_tokenizer(directory):
    """A byte-level BPE tokenizer as OPT's."""
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(TEXTS, vocab_size=330)
    bpe.save_model(str(directory))
    ends = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "</s>")
    tokenizer = GPT2Tokenizer(str(directory / "vocab.json"), str(directory / "merges.txt"), **ends)
    return _finish(tokenizer, directory)


def save_question_tokenizer(directory):
    """A small one as BERT's, where InstructBLIP has it."""
    pieces = BertWordPieceTokenizer()
    pieces.train_from_iterator(TEXTS, vocab_size=120)
    directory.mkdir()
    pieces.save_model(str(directory))
    BertTokenizer(str(directory / "vocab.txt")).save_pretrained(directory)


def _finish(tokenizer, directory):
    special = [AddedToken(token, special=True, normalized=False) for token in ("<image>", "<video>")]
    tokenizer.add_special_tokens({"additional_special_tokens": special}, replace_extra_special_tokens=False)
    tokenizer.save_pretrained(directory)
    return tokenizer


_TOKENIZERS = {"llava_onevision": save_qwen_tokenizer, "blip-2": save_opt_tokenizer}


def save_published(kind, directory, seed=0):
    """Writes a tiny published checkpoint of a kind and returns transformers' own model."""
    torch.manual_seed(seed)
    directory.mkdir()
    onevision = kind == "llava_onevision"
    tokenizer = _TOKENIZERS.get(kind, save_llama_tokenizer)(directory)
    image, video = tokenizer.convert_tokens_to_ids(["<image>", "<video>"])
    side = 70 if onevision else 56
    tiles = [[side, 2 * side], [2 * side, side], [2 * side, 2 * side], [side, 4 * side]]
    ids = {"image_token_index": image, "video_token_index": video, "image_grid_pinpoints": tiles}
    text = {**_TEXT, "vocab_size": len(tokenizer) + 8, "eos_token_id": tokenizer.eos_token_id}
    match kind:
        case "blip-2":
            sizes = {
                "hidden_size": 24,
                "num_hidden_layers": 3,
                "num_attention_heads": 4,
                "intermediate_size": 48,
            }
            decoder = OPTConfig(
                **{name: text[name] for name in ("vocab_size", "hidden_size", "eos_token_id")},
                ffn_dim=64,
                num_hidden_layers=2,
                num_attention_heads=4,
                max_position_embeddings=512,
                word_embed_proj_dim=64,
                init_std=0.2,
            )
            config = Blip2Config(
                vision_config=Blip2VisionConfig(**_TOWER).to_dict(),
                qformer_config=Blip2QFormerConfig(**sizes, encoder_hidden_size=32).to_dict(),
                text_config=decoder.to_dict(),
                num_query_tokens=8,
                image_token_index=image,
            )
            model = Blip2ForConditionalGeneration(config)
            # Fresh ones are zeros, which all read the same.
            torch.nn.init.normal_(model.query_tokens)
        case "instructblip" | "instructblipvideo":
            save_question_tokenizer(directory / "qformer_tokenizer")
            sizes = {
                "vocab_size": 130,
                "hidden_size": 24,
                "num_hidden_layers": 3,
                "num_attention_heads": 4,
                "intermediate_size": 48,
                "max_position_embeddings": 40,
                # So that what is asked makes a difference.
                "initializer_range": 0.3,
            }
            video_too = kind == "instructblipvideo"
            of = InstructBlipVideoConfig if video_too else InstructBlipConfig
            config = of(
                vision_config=InstructBlipVisionConfig(**_TOWER, initializer_range=0.02).to_dict(),
                qformer_config=InstructBlipQFormerConfig(**sizes, encoder_hidden_size=32).to_dict(),
                text_config=LlamaConfig(**text).to_dict(),
                num_query_tokens=8,
                **({"video_token_index": video} if video_too else {"image_token_index": image}),
            )
            model = (
                InstructBlipVideoForConditionalGeneration
                if video_too
                else InstructBlipForConditionalGeneration
            )(config)
            torch.nn.init.normal_(model.query_tokens)
        case "llava" | "tarsier":
            config = LlavaConfig(
                vision_config=CLIPVisionConfig(**_TOWER),
                text_config=LlamaConfig(**text),
                image_token_index=image,
            )
            model = LlavaForConditionalGeneration(config)
        case "llava_next_video":
            config = LlavaNextVideoConfig(
                vision_config=CLIPVisionConfig(**_TOWER), text_config=LlamaConfig(**text), **ids
            )
            model = LlavaNextVideoForConditionalGeneration(config)
        case "llava_onevision":
            # An uneven grid, as SigLIP's 27 x 27.
            tower = SiglipVisionConfig(**(_TOWER | {"image_size": side}))
            # So few tiles that large pictures are shrunk.
            config = LlavaOnevisionConfig(
                vision_config=tower,
                text_config=Qwen2Config(**text),
                vision_aspect_ratio="anyres_max_2",
                **ids,
            )
            model = LlavaOnevisionForConditionalGeneration(config)
    model.eval().save_pretrained(directory)
    model.name_or_path = str(directory)
    if kind == "tarsier":
        config = json.loads((directory / "config.json").read_text())
        config |= {"architectures": ["TarsierForConditionalGeneration"], **TARSIER_MARKS}
        (directory / "config.json").write_text(json.dumps(config))
    return model
