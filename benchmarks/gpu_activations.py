"""How much GPU memory do denoising and decoding take beside the weights? One row for each architecture.

    python benchmarks/gpu_activations.py --json gpu_activations.json

Real sizes of transformer and autoencoder with random weights, but two layers and a text encoder of one: what
lies beside the weights does not grow with the number of layers. Nothing is downloaded; the videos are noise.
"""

import argparse
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import hunyuan_video_15
import torch
from cogvideox_5b import PROMPT, fill, make_tokenizer
from diffusers import (
    AutoencoderKLCogVideoX,
    AutoencoderKLHunyuanVideo15,
    AutoencoderKLLTXVideo,
    AutoencoderKLMochi,
    AutoencoderKLWan,
    ClassifierFreeGuidance,
    CogVideoXDDIMScheduler,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
    FlowMatchEulerDiscreteScheduler,
    HunyuanVideo15Pipeline,
    HunyuanVideo15Transformer3DModel,
    LTXPipeline,
    LTXVideoTransformer3DModel,
    MochiPipeline,
    MochiTransformer3DModel,
    UniPCMultistepScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from rich.console import Console
from rich.table import Table
from transformers import T5Config, T5EncoderModel

from phyt2v_cli.backends.diffusion.call import latent_split
from phyt2v_cli.backends.diffusion.families.table import family_of
from phyt2v_cli.backends.diffusion.generator import DiffusersGenerator
from phyt2v_cli.backends.memory import device
from phyt2v_cli.config.generator import GeneratorConfig

DEVICE = torch.device("cuda", 0)


def t5_xxl(*, whole: bool) -> dict[str, Any]:
    """Return a tokenizer, and a T5-XXL without memory or one layer of its width."""
    d_ff, num_layers, num_heads = (10240, 24, 64) if whole else (64, 1, 2)
    with torch.device("meta"):
        text_encoder = T5EncoderModel(
            T5Config(
                vocab_size=32128,
                d_model=4096,
                d_kv=64,
                d_ff=d_ff,
                num_layers=num_layers,
                num_heads=num_heads,
                feed_forward_proj="gated-gelu",
            )
        )
    return {"tokenizer": make_tokenizer(), "text_encoder": text_encoder}


Parts = tuple[Any, Any]
"""Autoencoder and transformer."""


def cogvideox(num_layers: int, patch_size_t: int | None = None, height: int = 480, width: int = 720) -> Parts:
    """Return those of CogVideoX-5B, or of the 1.5, whose patches span two latent frames."""
    vae = AutoencoderKLCogVideoX(
        block_out_channels=(128, 256, 256, 512),
        down_block_types=("CogVideoXDownBlock3D",) * 4,
        up_block_types=("CogVideoXUpBlock3D",) * 4,
        latent_channels=16,
        layers_per_block=3,
        sample_height=height,
        sample_width=width,
    )
    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=48,
        num_layers=num_layers,
        use_rotary_positional_embeddings=True,
        sample_height=height // 8,
        sample_width=width // 8,
        patch_size_t=patch_size_t,
        patch_bias=patch_size_t is None,
    )
    return vae, transformer


def wan(num_layers: int, heads: int, ffn_dim: int) -> Parts:
    """Return those of a Wan 2.1."""
    transformer = WanTransformer3DModel(num_attention_heads=heads, ffn_dim=ffn_dim, num_layers=num_layers)
    return AutoencoderKLWan(), transformer


def wan_5b(num_layers: int) -> Parts:
    """Return those of the Wan 2.2 whose autoencoder compresses more."""
    vae = AutoencoderKLWan(
        base_dim=160,
        decoder_base_dim=256,
        z_dim=48,
        dim_mult=[1, 2, 4, 4],
        is_residual=True,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        scale_factor_spatial=16,
        latents_mean=[0.0] * 48,
        latents_std=[1.0] * 48,
    )
    transformer = WanTransformer3DModel(
        num_attention_heads=24, ffn_dim=14336, num_layers=num_layers, in_channels=48, out_channels=48
    )
    return vae, transformer


def hunyuan_video_15_parts(num_layers: int) -> Parts:
    """Return those of HunyuanVideo 1.5 at 480p."""
    transformer = HunyuanVideo15Transformer3DModel(num_layers=num_layers, task_type="t2v", target_size=640)
    return AutoencoderKLHunyuanVideo15(), transformer


class Case(NamedTuple):
    """Architecture, and the size that its preset renders."""

    name: str
    pipeline_class: Any
    scheduler: Callable[[], Any]
    parts: Callable[[int], Parts]
    """Autoencoder and transformer of so many layers."""
    num_layers: int
    """Of the real transformer."""
    size: tuple[int, int, int]
    vae_dtype: torch.dtype = torch.float32
    num_branches: int = 2
    options: Mapping[str, Any] = {}
    text: Callable[..., dict[str, Any]] = t5_xxl
    """Tokenizers and text encoders."""

    @property
    def config(self) -> GeneratorConfig:
        """Config of its preset's size."""
        num_frames, height, width = self.size
        return GeneratorConfig(
            model="random",
            num_frames=num_frames,
            height=height,
            width=width,
            dtype="bfloat16",
            preview_every=0,
        )

    def build(self, *, whole: bool = False) -> Any:
        """Return the pipeline on the GPU, with random weights: `whole`, or with two layers and a small T5."""
        with torch.device("meta"):
            vae, transformer = self.parts(self.num_layers if whole else 2)
        components = {**self.text(whole=whole), "vae": vae, "transformer": transformer}
        for name, component in components.items():
            if isinstance(component, torch.nn.Module):
                fill(component, "cuda", self.vae_dtype if name == "vae" else torch.bfloat16)
        return self.pipeline_class(scheduler=self.scheduler(), **components, **self.options)


def _unipc() -> UniPCMultistepScheduler:
    return UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True)


_COGVIDEOX = CogVideoXPipeline, CogVideoXDDIMScheduler
_WAN = WanPipeline, _unipc
CASES = (
    Case("cogvideox-5b", *_COGVIDEOX, cogvideox, 42, (49, 480, 720), torch.bfloat16),
    Case(
        "cogvideox-1.5-5b",
        *_COGVIDEOX,
        lambda layers: cogvideox(layers, 2, 768, 1360),
        42,
        (81, 768, 1360),
        torch.bfloat16,
    ),
    Case("wan2.1-1.3b", *_WAN, lambda layers: wan(layers, 12, 8960), 30, (81, 480, 832), num_branches=1),
    Case("wan2.1-14b", *_WAN, lambda layers: wan(layers, 40, 13824), 40, (81, 720, 1280), num_branches=1),
    Case("wan2.1-14b-480p", *_WAN, lambda layers: wan(layers, 40, 13824), 40, (81, 480, 832), num_branches=1),
    Case(
        "wan2.2-5b", *_WAN, wan_5b, 30, (121, 704, 1280), num_branches=1, options={"expand_timesteps": True}
    ),
    Case(
        "ltx-video",
        LTXPipeline,
        FlowMatchEulerDiscreteScheduler,
        lambda layers: (AutoencoderKLLTXVideo(), LTXVideoTransformer3DModel(num_layers=layers)),
        28,
        (161, 480, 704),
    ),
    Case(
        "mochi",
        MochiPipeline,
        lambda: FlowMatchEulerDiscreteScheduler(invert_sigmas=True),
        lambda layers: (AutoencoderKLMochi(), MochiTransformer3DModel(num_layers=layers)),
        48,
        (163, 480, 848),
        torch.bfloat16,
    ),
    Case(
        "hunyuanvideo-1.5",
        HunyuanVideo15Pipeline,
        lambda: FlowMatchEulerDiscreteScheduler(shift=5.0),
        hunyuan_video_15_parts,
        54,
        (121, 480, 848),
        torch.bfloat16,
        num_branches=1,
        options={"guider": ClassifierFreeGuidance(guidance_scale=6.0)},
        text=hunyuan_video_15.components,
    ),
)


def generator_of(pipeline: Any, config: GeneratorConfig) -> DiffusersGenerator:
    """Return a generator on the pipeline."""
    components = pipeline.components.items()
    configs = {name: module.config for name, module in components if hasattr(module, "config")}
    return DiffusersGenerator(pipeline, config, family_of(type(pipeline).__name__, configs), {}, DEVICE)


def measure(case: Case) -> dict[str, Any]:
    """Render two steps and decode, whole and in tiles; sizes in GB beside the weights."""
    pipeline = case.build()
    generator = generator_of(pipeline, case.config.model_copy(update={"offload": "none"}))
    need = generator.placed.need
    row: dict[str, Any] = {
        "name": case.name,
        "pixels": math.prod(case.size),
        "estimates": [round(n / 1e9, 2) for n in (need.denoise, need.decode, need.tiled_decode)],
    }

    def peak_of(stage: str, work: Callable[[], Any]) -> Any:
        device.release()
        torch.cuda.reset_peak_memory_stats()
        try:
            result = work()
        except Exception as error:
            row[stage] = type(error).__name__ + str(error)
            return None
        row[stage] = round((torch.cuda.max_memory_allocated() - need.weights) / 1e9, 2)
        return result

    denoised = peak_of(
        "denoise", lambda: generator.denoise(PROMPT, seed=0, num_inference_steps=2, on_step=lambda _: None)
    )
    if denoised is None:
        return row
    latents = torch.from_numpy(denoised.latents).to(DEVICE)
    row["latents"] = latents.shape
    # Half of the latent frames tell what grows with the length and what with the size of a frame.
    half = latents[:, :, : latents.shape[2] // 2]

    def decode(given: torch.Tensor) -> Any:
        with torch.inference_mode():
            return latent_split.decode(pipeline, given)

    pipeline.vae.disable_tiling()
    peak_of("decode", lambda: decode(latents))
    peak_of("decode_half", lambda: decode(half))
    pipeline.vae.enable_tiling()
    peak_of("tiled_decode", lambda: decode(latents))
    peak_of("tiled_half", lambda: decode(half))
    generator.close()
    return row


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", choices=[case.name for case in CASES])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    console = Console(width=170)
    rows = []
    for case in CASES:
        if not options.only or case.name in options.only:
            rows.append(measure(case))
            console.print(rows[-1])
            device.release()
    columns = (
        "name",
        "latents",
        "denoise",
        "decode",
        "decode_half",
        "tiled_decode",
        "tiled_half",
        "estimates",
    )
    table = Table(*columns, title=f"{torch.cuda.get_device_name()}, GB beside the weights")
    for row in rows:
        table.add_row(*(str(row.get(column, "")) for column in columns))
    console.print(table)
    if options.json:
        report = {"schema": "phyt2v.benchmark/1", "gpu": torch.cuda.get_device_name(), "rows": rows}
        options.json.write_text(json.dumps(report, indent=2, default=list) + "\n")


if __name__ == "__main__":
    main()
