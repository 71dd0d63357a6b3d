"""Tiny random pipelines of further real classes, beside those of `tiny_pipelines`. The pictures are noise."""

import warnings
from pathlib import Path

import torch
from diffusers import (
    AllegroPipeline,
    AllegroTransformer3DModel,
    AnyFlowPipeline,
    AnyFlowTransformer3DModel,
    AutoencoderKLAllegro,
    AutoencoderKLHunyuanVideo,
    AutoencoderKLHunyuanVideo15,
    AutoencoderKLTemporalDecoder,
    ClassifierFreeGuidance,
    DDIMScheduler,
    EulerAncestralDiscreteScheduler,
    FlowMapEulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    HunyuanVideo15Pipeline,
    HunyuanVideo15Transformer3DModel,
    HunyuanVideoPipeline,
    HunyuanVideoTransformer3DModel,
    LattePipeline,
    LatteTransformer3DModel,
    SanaVideoPipeline,
    SanaVideoTransformer3DModel,
    SkyReelsV2Pipeline,
    SkyReelsV2Transformer3DModel,
    UniPCMultistepScheduler,
)
from diffusers.pipelines.hunyuan_video.pipeline_hunyuan_video import DEFAULT_PROMPT_TEMPLATE
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    ByT5Tokenizer,
    CLIPTextConfig,
    CLIPTextModel,
    LlamaConfig,
    LlamaModel,
    PreTrainedTokenizerFast,
    Qwen2_5_VLTextConfig,
    Qwen2_5_VLTextModel,
    T5Config,
    T5EncoderModel,
)

from tests.tiny_pipelines import save_pipeline, tiny_text_encoder, tiny_tokenizer, tiny_wan_vae

_LETTERS = "abcdefghijklmnopqrstuvwxyz ,.'"
VOCABULARY = {token: number for number, token in enumerate(["<pad>", "<s>", "</s>", "<unk>", "§", *_LETTERS])}


def letter_tokenizer(
    *, template: str | None = None, template_tokens: int = 0, model_max_length: int = 77
) -> PreTrainedTokenizerFast:
    """Return a tokenizer of letters to which a prompt template is as long as to the real one."""
    tokenizer = Tokenizer(models.WordLevel(VOCABULARY, unk_token="<unk>"))
    if template is None:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
        )
    else:
        # The names of special tokens are recognised before anything is normalised, so none has one here.
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Replace(template, "§" * template_tokens), normalizers.Replace("<|eot_id|>", "§")]
        )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=model_max_length,
    )


def tiny_clip_text_model(width: int) -> CLIPTextModel:
    """Return the text encoder that goes with `letter_tokenizer`."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(VOCABULARY),
            hidden_size=width,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            projection_dim=width,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        )
    )


def save_hunyuan(path: Path) -> Path:
    """Save a HunyuanVideo, whose first tokenizer takes the real template for 95 tokens; return the path.

    It renders 5 frames of 16x16 when asked to.
    """
    torch.manual_seed(0)
    template = DEFAULT_PROMPT_TEMPLATE["template"]
    pipeline = HunyuanVideoPipeline(
        tokenizer=letter_tokenizer(
            template=template[: template.index("{}")],
            template_tokens=DEFAULT_PROMPT_TEMPLATE["crop_start"],
            model_max_length=1024,
        ),
        text_encoder=LlamaModel(
            LlamaConfig(
                vocab_size=len(VOCABULARY),
                hidden_size=16,
                intermediate_size=32,
                num_hidden_layers=4,
                num_attention_heads=2,
                pad_token_id=0,
            )
        ),
        tokenizer_2=letter_tokenizer(),
        text_encoder_2=tiny_clip_text_model(8),
        transformer=HunyuanVideoTransformer3DModel(
            in_channels=4,
            out_channels=4,
            num_attention_heads=2,
            attention_head_dim=10,
            num_layers=1,
            num_single_layers=1,
            num_refiner_layers=1,
            patch_size=1,
            text_embed_dim=16,
            pooled_projection_dim=8,
            rope_axes_dim=(2, 4, 4),
        ),
        vae=AutoencoderKLHunyuanVideo(
            latent_channels=4, block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=4
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
    )
    return save_pipeline(pipeline, path)


def save_hunyuan_15(path: Path) -> Path:
    """Save a HunyuanVideo 1.5, which is guided by a component; it renders 5 frames of 16x16 when asked to."""
    torch.manual_seed(0)
    tokenizer = letter_tokenizer(template="<system>", template_tokens=108, model_max_length=2048)
    tokenizer.chat_template = "<system>{{ messages[-1].content }}"
    pipeline = HunyuanVideo15Pipeline(
        tokenizer=tokenizer,
        text_encoder=Qwen2_5_VLTextModel(
            Qwen2_5_VLTextConfig(
                vocab_size=len(VOCABULARY),
                hidden_size=16,
                intermediate_size=16,
                num_hidden_layers=3,
                num_attention_heads=2,
                num_key_value_heads=2,
                rope_scaling={"rope_type": "default", "mrope_section": [1, 1, 2]},
            )
        ),
        tokenizer_2=ByT5Tokenizer(),
        text_encoder_2=T5EncoderModel(
            T5Config(vocab_size=384, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
        ),
        transformer=HunyuanVideo15Transformer3DModel(
            in_channels=9,
            out_channels=4,
            num_attention_heads=2,
            attention_head_dim=8,
            num_layers=2,
            num_refiner_layers=1,
            mlp_ratio=2.0,
            text_embed_dim=16,
            text_embed_2_dim=16,
            image_embed_dim=16,
            rope_axes_dim=(2, 2, 4),
            target_size=16,
            task_type="t2v",
        ),
        vae=AutoencoderKLHunyuanVideo15(
            latent_channels=4,
            block_out_channels=(8, 8, 8, 8, 8),
            layers_per_block=1,
            downsample_match_channel=False,
            upsample_match_channel=False,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
        guider=ClassifierFreeGuidance(guidance_scale=6.0),
    )
    return save_pipeline(pipeline, path)


def save_skyreels(path: Path) -> Path:
    """Save a SkyReels V2; it renders 9 frames of 16x16 when asked to."""
    torch.manual_seed(0)
    pipeline = SkyReelsV2Pipeline(
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
            rope_max_seq_len=32,
        ),
        scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=8.0
        ),
    )
    return save_pipeline(pipeline, path)


def _euler_ancestral() -> EulerAncestralDiscreteScheduler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it makes an array the old way
        return EulerAncestralDiscreteScheduler(
            beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012
        )


def save_anyflow(path: Path) -> Path:
    """Save an AnyFlow, which takes any number of steps; return the path.

    It renders 9 frames of 16x16 when asked to.
    """
    torch.manual_seed(0)
    pipeline = AnyFlowPipeline(
        tokenizer=tiny_tokenizer(),
        text_encoder=tiny_text_encoder(32),
        vae=tiny_wan_vae(),
        transformer=AnyFlowTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=12,
            text_dim=32,
            freq_dim=32,
            ffn_dim=32,
            num_layers=2,
        ),
        scheduler=FlowMapEulerDiscreteScheduler(shift=5.0),
    )
    return save_pipeline(pipeline, path)


def save_allegro(path: Path) -> Path:
    """Save an Allegro, whose autoencoder works in tiles, here of 24 frames of 128x128; return the path."""
    torch.manual_seed(0)
    pipeline = AllegroPipeline(
        tokenizer=tiny_tokenizer(),
        text_encoder=tiny_text_encoder(16),
        vae=AutoencoderKLAllegro(
            block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=2, sample_size=128
        ),
        transformer=AllegroTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=12,
            num_layers=1,
            cross_attention_dim=24,
            sample_width=16,
            sample_height=16,
            sample_frames=6,
            caption_channels=16,
        ),
        scheduler=_euler_ancestral(),
    )
    return save_pipeline(pipeline, path)


def save_latte(path: Path) -> Path:
    """Save a Latte, which calls the number of frames `video_length` and decodes them in chunks."""
    torch.manual_seed(0)
    pipeline = LattePipeline(
        tokenizer=tiny_tokenizer(),
        text_encoder=tiny_text_encoder(16),
        vae=AutoencoderKLTemporalDecoder(
            down_block_types=("DownEncoderBlock2D",) * 4, block_out_channels=(32,) * 4, sample_size=16
        ),
        transformer=LatteTransformer3DModel(
            sample_size=2,
            num_layers=1,
            patch_size=2,
            attention_head_dim=8,
            num_attention_heads=2,
            caption_channels=16,
            in_channels=4,
            cross_attention_dim=16,
            out_channels=8,
            attention_bias=True,
            activation_fn="gelu-approximate",
            num_embeds_ada_norm=1000,
            norm_type="ada_norm_single",
            norm_elementwise_affine=False,
        ),
        scheduler=DDIMScheduler(),
    )
    return save_pipeline(pipeline, path)


def save_sana_video(path: Path) -> Path:
    """Save a Sana Video, which calls the number of frames `frames`; it renders 9 of 32x32 when asked to."""
    torch.manual_seed(0)
    pipeline = SanaVideoPipeline(
        tokenizer=tiny_tokenizer(),
        text_encoder=tiny_text_encoder(16),
        vae=tiny_wan_vae(),
        transformer=SanaVideoTransformer3DModel(
            in_channels=16,
            out_channels=16,
            num_attention_heads=2,
            attention_head_dim=12,
            num_layers=1,
            num_cross_attention_heads=2,
            cross_attention_head_dim=12,
            cross_attention_dim=24,
            caption_channels=16,
            sample_size=8,
            qk_norm=None,
            rope_max_seq_len=32,
        ),
        scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=8.0
        ),
    )
    return save_pipeline(pipeline, path)
