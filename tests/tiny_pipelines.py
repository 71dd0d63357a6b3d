"""Tiny random pipelines of the real classes, saved in diffusers layout: what tests load instead of mocks.

Each `save_*` writes a pipeline of under 3 MB that renders a step in milliseconds. The pictures are noise.
"""

import string
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    AutoencoderKLLTXVideo,
    AutoencoderKLMochi,
    AutoencoderKLWan,
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    CogVideoXImageToVideoPipeline,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
    FlowMatchEulerDiscreteScheduler,
    LTXPipeline,
    LTXVideoTransformer3DModel,
    MochiPipeline,
    MochiTransformer3DModel,
    UniPCMultistepScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from transformers import T5Config, T5EncoderModel, T5Tokenizer

TEXT_LENGTH = 32
"""Tokens that the CogVideoX ones read: about as many letters."""


def tiny_tokenizer() -> T5Tokenizer:
    letters = [(letter, -3.0) for letter in string.ascii_lowercase + ".,"]
    return T5Tokenizer(
        vocab=[("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -1.0), ("▁", -2.0), *letters],
        extra_ids=0,
        model_max_length=64,
    )


def tiny_text_encoder(width: int) -> T5EncoderModel:
    return T5EncoderModel(T5Config(vocab_size=32, d_model=width, d_kv=8, d_ff=32, num_layers=2, num_heads=2))


def save_pipeline(pipeline: Any, path: Path, dtype: torch.dtype = torch.float32) -> Path:
    """Save any pipeline, without the dropout that would make its runs random; return the path."""
    for component in pipeline.components.values():
        if isinstance(component, torch.nn.Module):
            component.eval().to(dtype)
    pipeline.save_pretrained(path)
    return path


def save_cogvideox(
    path: Path,
    style: str = "5b",
    *,
    dpm: bool = False,
    takes_images: bool = False,
    sample_frames: int = 9,
    dtype: torch.dtype = torch.float32,
) -> Path:
    """Save a CogVideoX in the style of `2b`, `5b` or `1.5`; return the path.

    It renders `sample_frames`, and no more of them (1.5: nearly twice as many), of 16x16.
    """
    torch.manual_seed(0)
    scheduler_class = CogVideoXDPMScheduler if dpm else CogVideoXDDIMScheduler
    pipeline_class = CogVideoXImageToVideoPipeline if takes_images else CogVideoXPipeline
    pipeline = pipeline_class(
        tokenizer=tiny_tokenizer(),
        text_encoder=tiny_text_encoder(32),
        vae=AutoencoderKLCogVideoX(
            block_out_channels=(8, 8, 8, 8),
            down_block_types=("CogVideoXDownBlock3D",) * 4,
            up_block_types=("CogVideoXUpBlock3D",) * 4,
            latent_channels=4,
            layers_per_block=1,
            norm_num_groups=2,
            temporal_compression_ratio=4,
            scaling_factor=0.7,
        ),
        transformer=CogVideoXTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=16,
            in_channels=8 if takes_images else 4,
            out_channels=4,
            time_embed_dim=8,
            text_embed_dim=32,
            num_layers=2,
            sample_width=2,
            sample_height=2,
            sample_frames=sample_frames,
            patch_size=2,
            patch_size_t=2 if style == "1.5" else None,
            temporal_compression_ratio=4,
            max_text_seq_length=TEXT_LENGTH,
            use_rotary_positional_embeddings=style != "2b",
        ),
        scheduler=scheduler_class(
            prediction_type="v_prediction",
            rescale_betas_zero_snr=True,
            timestep_spacing="trailing",
            snr_shift_scale=3.0 if style == "2b" else 1.0,
        ),
    )
    return save_pipeline(pipeline, path, dtype)


def tiny_wan_vae() -> AutoencoderKLWan:
    """Return the autoencoder that several families share."""
    return AutoencoderKLWan(
        base_dim=3,
        z_dim=16,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
    )


def tiny_wan_transformer() -> WanTransformer3DModel:
    """Return the transformer of `save_wan`."""
    return WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=16,
        out_channels=16,
        text_dim=32,
        freq_dim=256,
        ffn_dim=32,
        num_layers=2,
        rope_max_seq_len=32,
    )


def save_wan(path: Path, *, two_transformers: bool = False) -> Path:
    """Save a Wan 2.1, or a 2.2 of two transformers; return the path.

    It renders 9 frames of 16x16 when asked to.
    """
    torch.manual_seed(0)
    pipeline = WanPipeline(
        tokenizer=tiny_tokenizer(),
        text_encoder=tiny_text_encoder(32),
        vae=tiny_wan_vae(),
        transformer=tiny_wan_transformer(),
        transformer_2=tiny_wan_transformer() if two_transformers else None,
        boundary_ratio=0.875 if two_transformers else None,
        scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        ),
    )
    return save_pipeline(pipeline, path)


def save_ltx(path: Path, *, timestep_conditioning: bool = False) -> Path:
    """Save an LTX; return the path. It renders 9 frames of 32x32 when asked to."""
    torch.manual_seed(0)
    pipeline = LTXPipeline(
        tokenizer=tiny_tokenizer(),
        text_encoder=tiny_text_encoder(32),
        vae=AutoencoderKLLTXVideo(
            latent_channels=8,
            block_out_channels=(8, 8, 8, 8),
            decoder_block_out_channels=(8, 8, 8, 8),
            layers_per_block=(1, 1, 1, 1, 1),
            decoder_layers_per_block=(1, 1, 1, 1, 1),
            timestep_conditioning=timestep_conditioning,
        ),
        transformer=LTXVideoTransformer3DModel(
            in_channels=8,
            out_channels=8,
            num_attention_heads=4,
            attention_head_dim=8,
            cross_attention_dim=32,
            num_layers=2,
            caption_channels=32,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    )
    return save_pipeline(pipeline, path)


def save_mochi(path: Path) -> Path:
    """Save a Mochi; return the path. It renders 7 frames of 16x16 when asked to."""
    torch.manual_seed(0)
    pipeline = MochiPipeline(
        tokenizer=tiny_tokenizer(),
        text_encoder=tiny_text_encoder(32),
        vae=AutoencoderKLMochi(
            latent_channels=12,
            out_channels=3,
            encoder_block_out_channels=(32, 32, 32, 32),
            decoder_block_out_channels=(32, 32, 32, 32),
            layers_per_block=(1, 1, 1, 1, 1),
        ),
        transformer=MochiTransformer3DModel(
            patch_size=2,
            num_attention_heads=2,
            attention_head_dim=8,
            num_layers=2,
            pooled_projection_dim=16,
            in_channels=12,
            text_embed_dim=32,
            time_embed_dim=4,
            activation_fn="swiglu",
            max_sequence_length=16,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    )
    return save_pipeline(pipeline, path)
