"""Tiny random pipelines of the younger classes without sound. The pictures are noise."""

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLHunyuanVideo,
    Cosmos2_5_PredictBasePipeline,
    CosmosTransformer3DModel,
    FlowMatchEulerDiscreteScheduler,
    Kandinsky5T2VPipeline,
    Kandinsky5Transformer3DModel,
    SkyReelsV2DiffusionForcingPipeline,
    SkyReelsV2Transformer3DModel,
    UniPCMultistepScheduler,
)
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from tests.guardrail_double import GuardrailDouble
from tests.tiny_families import VOCABULARY, letter_tokenizer, tiny_clip_text_model
from tests.tiny_pipelines import save_pipeline, tiny_text_encoder, tiny_tokenizer, tiny_wan_vae

QWEN_WIDTH = 16
_TEMPLATE = """<|im_start|>system
You are a prompt engineer. Describe the video in detail.
Describe how the camera moves or shakes, describe the zoom and view angle, whether it follows the objects.
Describe the location of the video, main characters or objects and their action.
Describe the dynamism of the video and presented actions.
Name the visual style of the video: whether it is a professional footage, user generated content, some kind \
of animation, video game or scren content.
Describe the visual effects, postprocessing and transitions if they are presented in the video.
Pay attention to the order of key actions shown in the scene.<|im_end|>
<|im_start|>user
"""
"""What Kandinsky 5 puts before each prompt."""


def tiny_qwen() -> Qwen2_5_VLForConditionalGeneration:
    """Return the text encoder that goes with `letter_tokenizer` in the place of Qwen."""
    return Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(
            text_config={
                "vocab_size": len(VOCABULARY),
                "hidden_size": QWEN_WIDTH,
                "intermediate_size": QWEN_WIDTH,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "num_key_value_heads": 2,
                "rope_scaling": {"rope_type": "default", "mrope_section": [1, 1, 2]},
            },
            vision_config={
                "depth": 1,
                "hidden_size": QWEN_WIDTH,
                "intermediate_size": QWEN_WIDTH,
                "num_heads": 2,
                "out_hidden_size": QWEN_WIDTH,
            },
        )
    )


def tiny_hunyuan_vae() -> AutoencoderKLHunyuanVideo:
    """Return the autoencoder that several families share."""
    return AutoencoderKLHunyuanVideo(
        latent_channels=16, block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=4
    )


def save_kandinsky_5(path: Path) -> Path:
    """Save a Kandinsky 5, whose tokenizer takes the real template for 128 tokens; return the path.

    It renders 5 frames of 16x32 when asked to.
    """
    torch.manual_seed(0)
    pipeline = Kandinsky5T2VPipeline(
        tokenizer=letter_tokenizer(template=_TEMPLATE, template_tokens=128, model_max_length=1024),
        text_encoder=tiny_qwen(),
        tokenizer_2=letter_tokenizer(),
        text_encoder_2=tiny_clip_text_model(8),
        vae=tiny_hunyuan_vae(),
        transformer=Kandinsky5Transformer3DModel(
            in_visual_dim=16,
            out_visual_dim=16,
            in_text_dim=QWEN_WIDTH,
            in_text_dim2=8,
            time_dim=16,
            model_dim=16,
            ff_dim=32,
            num_text_blocks=1,
            num_visual_blocks=2,
            axes_dims=(1, 1, 2),
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=5.0),
    )
    for parameter in pipeline.transformer.parameters():
        if not parameter.any():  # the gates of an untrained one let nothing through
            torch.nn.init.normal_(parameter, std=0.1)
    start = pipeline.prompt_template[: pipeline.prompt_template.index("{}")]
    assert (start, pipeline.prompt_template_encode_start_idx) == (_TEMPLATE, 128)
    return save_pipeline(pipeline, path)


def save_skyreels_forcing(path: Path) -> Path:
    """Save a SkyReels V2 with diffusion forcing; it renders 9 frames of 16x16 when asked to."""
    torch.manual_seed(0)
    pipeline = SkyReelsV2DiffusionForcingPipeline(
        tokenizer=tiny_tokenizer(),
        text_encoder=tiny_text_encoder(16),
        vae=tiny_wan_vae(),
        transformer=SkyReelsV2Transformer3DModel(
            patch_size=(1, 2, 2),
            num_attention_heads=2,
            attention_head_dim=12,
            in_channels=16,
            out_channels=16,
            text_dim=16,
            freq_dim=256,
            ffn_dim=32,
            num_layers=2,
            rope_max_seq_len=64,
        ),
        scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=8.0
        ),
    )
    return save_pipeline(pipeline, path)


def save_cosmos_predict(path: Path) -> Path:
    """Save a Cosmos-Predict 2.5 without its guardrail; it renders 5 frames of 16x16 when asked to."""
    torch.manual_seed(0)
    tokenizer = letter_tokenizer(model_max_length=1024)
    tokenizer.chat_template = "{{ messages[-1].content[0].text }}"
    pipeline = Cosmos2_5_PredictBasePipeline(
        tokenizer=tokenizer,
        text_encoder=tiny_qwen(),
        vae=tiny_wan_vae(),
        transformer=CosmosTransformer3DModel(
            in_channels=17,
            out_channels=16,
            num_attention_heads=2,
            attention_head_dim=16,
            num_layers=2,
            mlp_ratio=2,
            text_embed_dim=2 * QWEN_WIDTH,  # of each layer
            adaln_lora_dim=4,
            max_size=(4, 32, 32),
            patch_size=(1, 2, 2),
            rope_scale=(2.0, 1.0, 1.0),
            concat_padding_mask=False,  # with it, it needs torchvision
            extra_pos_embed_type="learnable",
        ),
        scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0
        ),
        safety_checker=GuardrailDouble(),
    )
    pipeline.register_modules(safety_checker=None)
    return save_pipeline(pipeline, path)
