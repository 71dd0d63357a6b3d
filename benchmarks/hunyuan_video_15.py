"""Text side of HunyuanVideo 1.5 with random weights: Qwen2.5-VL's language model, ByT5, and their tokenizers.

What the GPU benchmarks share. Nothing is downloaded.
"""

import string
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers import (
    ByT5Tokenizer,
    PreTrainedTokenizerFast,
    Qwen2_5_VLTextConfig,
    Qwen2_5_VLTextModel,
    T5Config,
    T5EncoderModel,
)

_SYSTEM_TOKENS = 108
"""Tokens of the system message, which the pipeline cuts off."""


def components(*, whole: bool) -> dict[str, Any]:
    """Return tokenizers and text encoders without memory: `whole`, or of three layers of their width."""
    with torch.device("meta"):
        language_model = Qwen2_5_VLTextModel(
            Qwen2_5_VLTextConfig(
                vocab_size=152064,
                hidden_size=3584,
                intermediate_size=18944 if whole else 64,
                num_hidden_layers=28 if whole else 3,
                num_attention_heads=28,
                num_key_value_heads=4,
                rope_scaling={"rope_type": "default", "mrope_section": [16, 24, 24]},
            )
        )
        glyphs = T5EncoderModel(
            T5Config(
                vocab_size=384,
                d_model=1472,
                d_kv=64,
                d_ff=3584,
                num_layers=12 if whole else 1,
                num_heads=6,
                feed_forward_proj="gated-gelu",
            )
        )
    return {
        "tokenizer": _tokenizer(),
        "text_encoder": language_model,
        "tokenizer_2": ByT5Tokenizer(),
        "text_encoder_2": glyphs,
    }


def _tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of letters whose system message has as many tokens as the real one."""
    words = ["<pad>", "<unk>", "§", *string.ascii_lowercase, " ", ",", "."]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, "<unk>"))
    tokenizer.normalizer = normalizers.Replace("<system>", "§" * _SYSTEM_TOKENS)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>")
    fast.model_max_length = 2048
    fast.chat_template = "<system>{{ messages[-1].content }}"
    return fast
