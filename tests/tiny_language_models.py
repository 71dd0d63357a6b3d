"""Tiny random language models and VLMs of the real classes, saved as a user would have them.

Each `save_*` writes a folder of under 3 MB with config, weights, tokenizer, chat template and, where the
model sees, its real image processor; no network and no torchvision is needed. What they say is noise.
"""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    InternVLConfig,
    InternVLForConditionalGeneration,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

CORPUS = (
    "yes no Yes No Does the video show what was asked for? Answer with one word, yes or no.",
    "a red ball falls and bounces on the floor, the objects, their looks and what they do in the real world",
    'Reply with exactly one JSON object that fits the schema: {"reasoning": "", "main_object": ""}',
)

TEXT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

NO_SYSTEM_TEMPLATE = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    + TEXT_TEMPLATE
)


def _vision_template(image: str) -> str:
    return (
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
        "{% if part['type'] == 'image' %}" + image + "{% elif part['type'] == 'text' %}{{ part['text'] }}"
        "{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )


def _tokenizer(template: str | None, **named_tokens: str) -> PreTrainedTokenizerFast:
    """Return a byte-level tokenizer of about 400 tokens; `named_tokens` become attributes of it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>", *named_tokens.values()],
        show_progress=False,
    )
    # Whole words, so that the answers are single tokens, as they are in every large vocabulary.
    tokenizer.train_from_iterator([*CORPUS, *["yes no Yes No"] * 50], trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=named_tokens,
    )
    fast.chat_template = template
    return fast


def _save(network: Any, path: Path, tokenizer: PreTrainedTokenizerFast, *parts: dict[str, Any]) -> Path:
    with torch.no_grad():
        for weights in network.parameters():
            if weights.dim() > 1:
                weights.mul_(3)  # as initialised a network hardly reacts to what it reads
    network.eval().save_pretrained(path)
    tokenizer.save_pretrained(path)
    for part in parts:
        (path / part.pop("file")).write_text(json.dumps(part))
    return path


def _text_sizes(tokenizer: PreTrainedTokenizerFast, context: int = 8192) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": context,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
    }


def save_llama(path: Path, *, template: str | None = TEXT_TEMPLATE, context: int = 8192) -> Path:
    """Save a chat model that sees nothing; return the path."""
    torch.manual_seed(0)
    tokenizer = _tokenizer(template)
    network = LlamaForCausalLM(LlamaConfig(**_text_sizes(tokenizer, context)))
    return _save(network, path, tokenizer)


def save_qwen2_5_vl(path: Path, *, context: int = 8192) -> Path:
    """Save a VLM in the style of Qwen2.5-VL; return the path."""
    return _save_qwen_vl(
        path, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, "Qwen2_5_VLProcessor", context
    )


def save_qwen3_vl(path: Path) -> Path:
    """Save a VLM in the style of Qwen3-VL; return the path."""
    return _save_qwen_vl(path, Qwen3VLConfig, Qwen3VLForConditionalGeneration, "Qwen3VLProcessor", 8192)


def _save_qwen_vl(path: Path, config_class: Any, network_class: Any, processor: str, context: int) -> Path:
    torch.manual_seed(0)
    tokenizer = _tokenizer(
        _vision_template("<|vision_start|><|image_pad|><|vision_end|>"),
        vision_start_token="<|vision_start|>",
        vision_end_token="<|vision_end|>",
        image_token="<|image_pad|>",
        video_token="<|video_pad|>",
    )
    is_3 = config_class is Qwen3VLConfig
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 4, "out_hidden_size": 32}
    if is_3:
        vision |= {"patch_size": 16, "num_position_embeddings": 64, "deepstack_visual_indexes": [0]}
    else:
        vision |= {"patch_size": 14, "window_size": 56, "fullatt_block_indexes": [1]}
    rope = {"rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 10000.0}
    config = config_class(
        text_config={**_text_sizes(tokenizer, context), "rope_parameters": rope, "head_dim": 8},
        vision_config={**vision, "spatial_merge_size": 2, "temporal_patch_size": 2},
        image_token_id=tokenizer.image_token_id,
        video_token_id=tokenizer.video_token_id,
        vision_start_token_id=tokenizer.vision_start_token_id,
        vision_end_token_id=tokenizer.vision_end_token_id,
    )
    pictures = {
        "file": "preprocessor_config.json",
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": processor,
        "patch_size": 16 if is_3 else 14,
        "merge_size": 2,
        "temporal_patch_size": 2,
        "size": {"shortest_edge": 28 * 28, "longest_edge": 64 * 64},
    }
    return _save(network_class(config), path, tokenizer, pictures)


def save_idefics3(path: Path) -> Path:
    """Save a VLM in the style of SmolVLM (its first version is an Idefics3); return the path."""
    torch.manual_seed(0)
    tokenizer = _tokenizer(
        _vision_template("<image>"),
        fake_image_token="<fake_token_around_image>",
        image_token="<image>",
        end_of_utterance_token="<end_of_utterance>",
        global_image_token="<global-img>",
    )
    config = Idefics3Config(
        text_config={"model_type": "llama", **_text_sizes(tokenizer)},
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": 32,
            "patch_size": 8,
        },
        image_token_id=tokenizer.image_token_id,
        pad_token_id=tokenizer.pad_token_id,
        scale_factor=2,
    )
    pictures = {
        "file": "preprocessor_config.json",
        "image_processor_type": "Idefics3ImageProcessor",
        "processor_class": "Idefics3Processor",
        "do_image_splitting": False,
        "size": {"longest_edge": 32},
        "max_image_size": {"longest_edge": 32},
    }
    whole = {"file": "processor_config.json", "processor_class": "Idefics3Processor", "image_seq_len": 4}
    return _save(Idefics3ForConditionalGeneration(config), path, tokenizer, pictures, whole)


def save_internvl(path: Path) -> Path:
    """Save a VLM in the style of InternVL 3; return the path."""
    torch.manual_seed(0)
    tokenizer = _tokenizer(
        _vision_template("<IMG_CONTEXT>\n"),
        start_image_token="<img>",
        end_image_token="</img>",
        context_image_token="<IMG_CONTEXT>",
        video_token="<video>",
    )
    config = InternVLConfig(
        text_config={"model_type": "qwen2", **_text_sizes(tokenizer)},
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": [28, 28],
            "patch_size": [14, 14],
        },
        image_token_id=tokenizer.context_image_token_id,
        image_seq_length=1,
        downsample_ratio=0.5,
        tie_word_embeddings=False,  # tied, it says the last token that it read for ever
    )
    pictures = {
        "file": "preprocessor_config.json",
        "image_processor_type": "GotOcr2ImageProcessor",
        "processor_class": "InternVLProcessor",
        "size": {"height": 28, "width": 28},
        "crop_to_patches": False,
    }
    whole = {"file": "processor_config.json", "processor_class": "InternVLProcessor", "image_seq_length": 1}
    return _save(InternVLForConditionalGeneration(config), path, tokenizer, pictures, whole)
