"""Family of text-to-video pipelines: its frame rate, sizes, dtypes and options as data. Names no family."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from phyt2v_cli.backends.diffusion.geometry import ANY_NUMBER, Grid

DtypeName = Literal["float32", "float16", "bfloat16"]


@dataclass(frozen=True)
class Family:
    """Defaults, valid sizes and options of one family of pipelines."""

    name: str
    fps: int = 16
    """Frames per second of its training videos."""
    num_inference_steps: int = 50
    """Published number of denoising steps at full quality."""
    num_frames: Grid = ANY_NUMBER
    """Valid numbers of frames; the pipeline silently rounds any other, or crashes."""
    height: Grid = ANY_NUMBER
    """Valid heights in pixels."""
    width: Grid | None = None
    """Valid widths in pixels; None if they are the same as the heights."""
    half_dtypes: Mapping[str, DtypeName] = field(default_factory=lambda: {"default": "bfloat16"})
    """Published dtype on a GPU, by component."""
    max_sequence_length: int | None = None
    """Prompt tokens that the transformer's config names; None leaves the default of the pipeline's call."""
    tiled_vae: bool = False
    """Whether the autoencoder works only with tiling."""
    call_arguments: Mapping[str, object] = field(default_factory=dict)
    """Fixed arguments of the pipeline's call, which no setting changes."""
    solvers: tuple[str, ...] = ()
    """Solvers that fit its noise schedule, besides the pipeline's own."""
    unfit_solvers: tuple[str, ...] = ()
    """Solvers that its noise schedule would allow, and its pipelines do not."""
    has_flow_shift: bool = False
    """Whether the noise schedule has a flow shift that can be set."""
    draft_caches: tuple[str, ...] = ()
    """Feature caches that take effect on it."""
    options: tuple[str, ...] | None = ()
    """Extra settings that it takes; None if only its pipeline's signature can tell."""
    negative_prompt_needs: str | None = None
    """Setting that must be above 1 for a negative prompt to have an effect."""
    text_pipeline: str | None = None
    """Pipeline class for text alone; None if it is the one that the checkpoint names."""
    image_pipeline: str | None = None
    """Image-to-video pipeline class with the same components."""
    video_pipeline: str | None = None
    """Video-to-video pipeline class with the same components."""
    video_strength_keeps: bool = False
    """Whether `video_pipeline` takes a list of videos, and its strength is the part of them that is kept."""
    needs_image: bool = False
    """Whether it makes no video without an image."""
    num_branches: int = 2
    """Guidance branches that its pipelines denoise in one call."""
    splits_guidance: bool = False
    """Whether two GPUs can compute a guidance branch each: its transformer gets both in one batch, or in two
    calls of which only the second's text differs."""
    attention_heads: int = 0
    """Attention heads of its transformer, if GPUs can share its tokens by them; else 0."""
    is_guided: bool = True
    """Whether a video that is told no guidance scale has a second guidance branch."""
    needs_more: str = ""
    """What else it needs to make a video, which cannot be given here."""
    needs_packages: tuple[str, ...] = ()
    """Python packages that its pipelines need, and that phyt2v does not bring along."""
    decodes_apart: bool = True
    """Whether its pipelines decode once, and then only scale the colours of the frames."""

    @property
    def is_listed(self) -> bool:
        """Whether the table knows it; else its pipeline's signature decides."""
        return self.options is not None
