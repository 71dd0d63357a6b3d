"""The shapes of the embedded model's parts: ordinary diffusers and transformers classes at small size."""

from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXTransformer3DModel
from transformers import T5Config, T5EncoderModel

from phyt2v_cli.tiny import world

MAX_TEXT_TOKENS = 64


def make_autoencoder() -> AutoencoderKLCogVideoX:
    """2.5 M parameters; 4x in space and in time, 8 channels: (3, 25, 64, 64) becomes (8, 7, 16, 16)."""
    return AutoencoderKLCogVideoX(
        block_out_channels=(32, 64, 64),
        down_block_types=("CogVideoXDownBlock3D",) * 3,
        up_block_types=("CogVideoXUpBlock3D",) * 3,
        layers_per_block=1,
        latent_channels=8,
        temporal_compression_ratio=4,
        sample_height=world.SIZE,
        sample_width=world.SIZE,
    )


def make_transformer() -> CogVideoXTransformer3DModel:
    """7.3 M parameters; 448 video tokens and 64 text tokens."""
    return CogVideoXTransformer3DModel(
        num_attention_heads=4,
        attention_head_dim=64,
        in_channels=8,
        out_channels=8,
        time_embed_dim=128,
        text_embed_dim=128,
        num_layers=6,
        sample_width=world.SIZE // 4,
        sample_height=world.SIZE // 4,
        sample_frames=world.NUM_FRAMES,
        max_text_seq_length=MAX_TEXT_TOKENS,
        use_rotary_positional_embeddings=True,
    )


def make_text_encoder(vocab_size: int) -> T5EncoderModel:
    """Two layers of width 128, trained together with the transformer."""
    config = T5Config(
        vocab_size=vocab_size,
        d_model=128,
        d_kv=32,
        d_ff=384,
        num_layers=2,
        num_heads=4,
        feed_forward_proj="gated-gelu",
        dropout_rate=0.0,
        tie_word_embeddings=False,
    )
    return T5EncoderModel(config)


def make_scheduler() -> CogVideoXDDIMScheduler:
    """Velocity prediction with zero terminal signal, as in CogVideoX-5B."""
    return CogVideoXDDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        snr_shift_scale=1.0,
        clip_sample=False,
    )
