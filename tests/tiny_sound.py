"""Tiny random pipelines of classes that make a sound with the video. Pictures and sounds are noise."""

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLLTX2Audio,
    AutoencoderKLLTX2Video,
    Cosmos3AVAEAudioTokenizer,
    Cosmos3OmniPipeline,
    Cosmos3OmniTransformer,
    FlowMatchEulerDiscreteScheduler,
    Kandinsky6TI2VAPipeline,
    Kandinsky6Transformer3DModel,
    LTX2Pipeline,
    LTX2VideoTransformer3DModel,
    MMAudioVAE,
    MMAudioVocoder,
    UniPCMultistepScheduler,
)
from diffusers.pipelines.ltx2 import LTX2TextConnectors
from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder, LTX2VocoderWithBWE
from transformers import Gemma3Config, Gemma3ForConditionalGeneration

from tests.tiny_families import VOCABULARY, letter_tokenizer, tiny_clip_text_model
from tests.tiny_pipelines import save_pipeline, tiny_wan_vae
from tests.tiny_recent import QWEN_WIDTH, tiny_hunyuan_vae, tiny_qwen

SAMPLE_RATE = 24000
"""Of the vocoder; its spectrograms are those of a sound of 16 kHz."""
_WIDTH = 16
_MEL_BINS = 8
_PROJECTIONS_2_3 = {
    "video_gated_attn": True,
    "audio_gated_attn": True,
    "per_modality_projections": True,
    "video_hidden_dim": _WIDTH,
    "audio_hidden_dim": _WIDTH,
    "proj_bias": True,
}


def save_ltx_2(path: Path, *, style: str = "2.0") -> Path:
    """Save an LTX-2 in the style of `2.0` or `2.3`; it renders 9 frames of 32x64 when asked to."""
    torch.manual_seed(0)
    is_2_3 = style == "2.3"
    audio_vae = AutoencoderKLLTX2Audio(
        base_channels=4,
        ch_mult=(1, 1, 1),
        num_res_blocks=1,
        resolution=32,
        latent_channels=2,
        mel_bins=_MEL_BINS,
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
            **_PROJECTIONS_2_3 if is_2_3 else {},
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
            gated_attn=is_2_3,
            cross_attn_mod=is_2_3,
            audio_gated_attn=is_2_3,
            audio_cross_attn_mod=is_2_3,
            use_prompt_embeddings=not is_2_3,
            perturbed_attn=is_2_3,
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
        vocoder=_vocoder_2_3() if is_2_3 else _vocoder(),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift_terminal=0.1),
    )
    return save_pipeline(pipeline, path)


def _vocoder() -> LTX2Vocoder:
    return LTX2Vocoder(
        in_channels=2 * _MEL_BINS,
        hidden_channels=16,
        upsample_kernel_sizes=[31, 32],
        upsample_factors=[15, 16],
        resnet_kernel_sizes=[3],
        resnet_dilations=[[1, 3, 5]],
        output_sampling_rate=SAMPLE_RATE,
    )


def _vocoder_2_3() -> LTX2VocoderWithBWE:
    one = {"resnet_kernel_sizes": [3], "resnet_dilations": [[1, 3, 5]]}
    return LTX2VocoderWithBWE(
        in_channels=2 * _MEL_BINS,
        hidden_channels=64,
        **one,
        bwe_in_channels=2 * _MEL_BINS,
        bwe_hidden_channels=32,
        **{f"bwe_{name}": value for name, value in one.items()},
        filter_length=32,
        window_length=32,
        hop_length=80,
        num_mel_channels=_MEL_BINS,
    )


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


def save_kandinsky_6(path: Path) -> Path:
    """Save a Kandinsky 6, whose sound has 44.1 kHz; it renders 5 frames of 16x32 when asked to."""
    torch.manual_seed(0)
    pipeline = Kandinsky6TI2VAPipeline(
        tokenizer=letter_tokenizer(model_max_length=2048),
        text_encoder=tiny_qwen(),
        tokenizer_2=letter_tokenizer(),
        text_encoder_2=tiny_clip_text_model(8),
        vae=tiny_hunyuan_vae(),
        audio_vae=MMAudioVAE(
            mel_bins=8,
            latent_channels=4,
            hidden_channels=8,
            channel_multipliers=(1, 2, 2),
            layers_per_block=1,
        ),
        vocoder=MMAudioVocoder(
            num_mels=8,
            upsample_initial_channel=64,
            resblock_kernel_sizes=(3,),
            resblock_dilation_sizes=((1, 3, 5),),
        ),
        transformer=Kandinsky6Transformer3DModel(
            in_text_dim=QWEN_WIDTH,
            in_text_dim2=8,
            time_dim=16,
            model_dim=16,
            ff_dim=32,
            num_text_blocks=1,
            num_visual_blocks=1,
            axes_dims=(4, 2, 2),
            visual_cond=False,
            in_audio_dim=4,
            out_audio_dim=4,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=5.0),
    )
    return save_pipeline(pipeline, path)


def save_cosmos_3(path: Path) -> Path:
    """Save a Cosmos 3 with sound of 48 kHz, and no guardrail; it renders 5 frames of 16x16 when asked to."""
    torch.manual_seed(0)
    tokenizer = letter_tokenizer(model_max_length=4096)
    tokenizer.chat_template = "{{ messages[-1].content }}"
    tokenizer.add_tokens(["<|vision_start|>"])
    pipeline = Cosmos3OmniPipeline(
        transformer=Cosmos3OmniTransformer(
            head_dim=6,
            hidden_size=6,
            intermediate_size=12,
            latent_channel=16,
            latent_patch_size=1,
            num_attention_heads=1,
            num_hidden_layers=1,
            num_key_value_heads=1,
            patch_latent_dim=16,
            rope_axes_dim=[1, 1, 1],
            vocab_size=len(VOCABULARY) + 1,
            sound_gen=True,
            sound_dim=4,
        ),
        text_tokenizer=tokenizer,
        vae=tiny_wan_vae(),
        scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0
        ),
        sound_tokenizer=Cosmos3AVAEAudioTokenizer(
            vocoder_input_dim=4, dec_dim=4, encoder_enabled=False, normalize_volume=False
        ),
        enable_safety_checker=False,
    )
    return save_pipeline(pipeline, path)
