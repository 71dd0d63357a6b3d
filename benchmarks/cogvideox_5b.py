"""The CogVideoX-5B architecture with random weights, built in memory: time does not depend on the values.

What the GPU benchmarks share. Nothing is downloaded; the videos are noise.
"""

import string
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    CogVideoXDDIMScheduler,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
)
from transformers import T5Config, T5EncoderModel, T5Tokenizer

from phyt2v_cli.config.generator import GeneratorConfig

CONFIG = GeneratorConfig(
    model="random/CogVideoX-5b",
    num_frames=49,
    height=480,
    width=720,
    guidance_scale=6.0,
    dtype="bfloat16",
    preview_every=0,
)
PROMPT = "a red ball falls from the top, speeds up as it falls, hits the floor and bounces back up"


def build(device: str = "cuda") -> Any:
    """Return the pipeline in bfloat16 on `device`: 5.57 B + 4.76 B + 0.22 B parameters."""
    with torch.device("meta"):
        transformer = CogVideoXTransformer3DModel(
            num_attention_heads=48,
            attention_head_dim=64,
            in_channels=16,
            out_channels=16,
            time_embed_dim=512,
            text_embed_dim=4096,
            num_layers=42,
            sample_width=90,
            sample_height=60,
            sample_frames=49,
            patch_size=2,
            temporal_compression_ratio=4,
            max_text_seq_length=226,
            use_rotary_positional_embeddings=True,
        )
        vae = AutoencoderKLCogVideoX(
            block_out_channels=(128, 256, 256, 512),
            down_block_types=("CogVideoXDownBlock3D",) * 4,
            up_block_types=("CogVideoXUpBlock3D",) * 4,
            latent_channels=16,
            layers_per_block=3,
            norm_num_groups=32,
            temporal_compression_ratio=4,
            sample_height=480,
            sample_width=720,
            scaling_factor=0.7,
        )
        text_encoder = T5EncoderModel(
            T5Config(
                vocab_size=32128,
                d_model=4096,
                d_kv=64,
                d_ff=10240,
                num_layers=24,
                num_heads=64,
                feed_forward_proj="gated-gelu",
            )
        )
    for module in (transformer, vae, text_encoder):
        fill(module, device)
    return CogVideoXPipeline(
        tokenizer=make_tokenizer(),
        text_encoder=text_encoder,
        vae=vae,
        transformer=transformer,
        scheduler=CogVideoXDDIMScheduler(
            prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing"
        ),
    )


def write_random_model(folder: Path) -> None:
    """Write the pipeline to `folder`, 21 GB, in a process of its own, which leaves no GPU memory in use."""
    writer = get_context("spawn").Process(target=_write, args=(folder,))
    writer.start()
    writer.join()
    if writer.exitcode:
        raise SystemExit(f"the random weights could not be written to {folder}")


def _write(folder: Path) -> None:
    build().save_pretrained(folder)


def make_tokenizer() -> T5Tokenizer:
    """Return a tokenizer of letters."""
    letters = [(letter, -3.0) for letter in string.ascii_lowercase + ".,"]
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -1.0), ("▁", -2.0), *letters]
    return T5Tokenizer(vocab=vocabulary, extra_ids=0, model_max_length=226)


def fill(module: torch.nn.Module, device: str, dtype: torch.dtype = torch.bfloat16) -> None:
    """Give a module without memory small random weights; norms stay as they begin, so that all is finite."""
    module.to(dtype).to_empty(device=device)
    for name, parameter in (*module.named_parameters(), *module.named_buffers()):
        if "norm" in name and name.endswith("weight"):
            parameter.data.fill_(1)
        elif name.endswith("bias"):
            parameter.data.zero_()
        else:
            parameter.data.normal_(0, 0.02)
    module.eval().requires_grad_(False)
