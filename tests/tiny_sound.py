"""Tiny random pipelines of classes that make a sound with the video. Pictures and sounds are noise."""

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLLTX2Audio,
    AutoencoderKLLTX2Video,
    FlowMatchEulerDiscreteScheduler,
    LTX2Pipeline,
    LTX2VideoTransformer3DModel,
)
from diffusers.pipelines.ltx2 import LTX2TextConnectors
from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder
from transformers import Gemma3Config, Gemma3ForConditionalGeneration

from tests.tiny_families import VOCABULARY, letter_tokenizer
from tests.tiny_pipelines import save_pipeline

SAMPLE_RATE = 24000
"""Of the vocoder; its spectrograms are those of a sound of 16 kHz."""
_WIDTH = 16


def save_ltx_2(path: Path) -> Path:
    """Save an LTX-2 in the style of 2.0; it renders 9 frames of 32x64 when asked to."""
    torch.manual_seed(0)
    audio_vae = AutoencoderKLLTX2Audio(
        base_channels=4,
        ch_mult=(1, 1, 1),
        num_res_blocks=1,
        resolution=32,
        latent_channels=2,
        mel_bins=8,
    )
    pipeline = LTX2Pipeline(
        tokenizer=letter_tokenizer(model_max_length=1024),
        text_encoder=Gemma3ForConditionalGeneration(_gemma()),
        connectors=LTX2TextConnectors(
            caption_channels=_WIDTH,
            text_proj_in_factor=3,  # the layers of the text encoder, and its input
            video_connector_num_attention_heads=2,
            video_connector_attention_head_dim=8,
            video_connector_num_layers=1,
            video_connector_num_learnable_registers=None,
            audio_connector_num_attention_heads=2,
            audio_connector_attention_head_dim=8,
            audio_connector_num_layers=1,
            audio_connector_num_learnable_registers=None,
            connector_rope_base_seq_len=32,
            causal_temporal_positioning=False,
            rope_double_precision=False,
            rope_type="split",
        ),
        transformer=LTX2VideoTransformer3DModel(
            in_channels=4,
            out_channels=4,
            num_attention_heads=2,
            attention_head_dim=8,
            cross_attention_dim=_WIDTH,
            audio_in_channels=4,
            audio_out_channels=4,
            audio_num_attention_heads=2,
            audio_attention_head_dim=8,
            audio_cross_attention_dim=_WIDTH,
            num_layers=2,
            caption_channels=_WIDTH,
            rope_double_precision=False,
            rope_type="split",
        ),
        vae=AutoencoderKLLTX2Video(
            latent_channels=4,
            block_out_channels=(4, 8, 16, 16),
            decoder_block_out_channels=(4, 8, 8, 16),
            layers_per_block=(1, 1, 1, 1, 1),
            decoder_layers_per_block=(1, 1, 1, 1, 1),
            decoder_spatio_temporal_scaling=(True, True, True, True),
            decoder_inject_noise=(False, False, False, False, False),
            upsample_type=("spatiotemporal", "spatiotemporal", "temporal", "spatial"),
            upsample_residual=(False, False, False, False),
            upsample_factor=(2, 2, 1, 2),
            decoder_causal=False,
            decoder_spatial_padding_mode="zeros",  # one latent is too small to be reflected
            spatial_compression_ratio=32,
            temporal_compression_ratio=8,
        ),
        audio_vae=audio_vae,
        vocoder=LTX2Vocoder(
            in_channels=2 * audio_vae.config.mel_bins,
            hidden_channels=16,
            upsample_kernel_sizes=[31, 32],
            upsample_factors=[15, 16],
            resnet_kernel_sizes=[3],
            resnet_dilations=[[1, 3, 5]],
            output_sampling_rate=SAMPLE_RATE,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift_terminal=0.1),
    )
    return save_pipeline(pipeline, path)


def _gemma() -> Gemma3Config:
    return Gemma3Config(
        text_config={
            "vocab_size": len(VOCABULARY) + 10,
            "hidden_size": _WIDTH,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 8,
        },
        vision_config={
            "hidden_size": 8,
            "intermediate_size": 8,
            "num_hidden_layers": 1,
            "num_attention_heads": 1,
            "image_size": 8,
            "patch_size": 4,
        },
        mm_tokens_per_image=4,
    )
