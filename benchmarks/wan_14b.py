"""The Wan 2.1 14B architecture with random weights, built in memory: time does not depend on the values.

What the GPU benchmarks share. The text encoder has one layer, since it takes 0.03 s of a video. Nothing is
downloaded; the videos are noise.
"""

from typing import Any

import torch
from cogvideox_5b import fill, make_tokenizer
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel
from transformers import UMT5Config, UMT5EncoderModel

from phyt2v_cli.config.generator import GeneratorConfig

CONFIG = GeneratorConfig(
    model="random/Wan2.1-T2V-14B",
    num_frames=81,
    height=480,
    width=832,
    guidance_scale=5.0,
    dtype="bfloat16",
    preview_every=0,
)


def build(device: str = "cuda") -> Any:
    """Return the pipeline in bfloat16 on `device`: 14.3 B parameters of the transformer."""
    with torch.device("meta"):
        transformer = WanTransformer3DModel(
            num_attention_heads=40,
            attention_head_dim=128,
            in_channels=16,
            out_channels=16,
            text_dim=4096,
            freq_dim=256,
            ffn_dim=13824,
            num_layers=40,
            cross_attn_norm=True,
            qk_norm="rms_norm_across_heads",
        )
        vae = AutoencoderKLWan()
        text_encoder = UMT5EncoderModel(
            UMT5Config(vocab_size=32128, d_model=4096, d_kv=64, d_ff=1024, num_layers=1, num_heads=64)
        )
    for module in (transformer, vae, text_encoder):
        fill(module, device)
    return WanPipeline(
        tokenizer=make_tokenizer(),
        text_encoder=text_encoder,
        vae=vae,
        transformer=transformer,
        scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        ),
    )
