"""Attention kernel of the denoiser: torch's own choice, or flash-attn-4, which is exact as well.

flash-attn-4 is faster on Hopper and Blackwell GPUs. It takes the place of torch's attention, the function
`torch.nn.functional.scaled_dot_product_attention`, which every family calls, directly or through diffusers'
dispatcher. So it needs no knowledge of any family, and compiled blocks stay whole. Before its first use it is
compared with torch's kernel at the model's own shape. This file knows shapes; it must not know prompts,
rounds or memory.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from importlib import import_module, util
from typing import Any

import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend
from torch.overrides import TorchFunctionMode

from phyt2v_cli.config.generator import AttentionKernel
from phyt2v_cli.errors import BackendError, ConfigError

FLASH_ATTENTION_4 = "flash-attn-4"
"""Name of the kernel in records, and of its package."""

LARGEST_ERROR = 1.25
"""Limit of the kernel's error against float64, in errors of torch's kernel: both round to half precision, and
on one H100 they were the same to 1 %."""

FEWEST_TOKENS = 1024
"""Fewest queries of a call that is worth another kernel."""

_MODULE = "flash_attn.cute"
_FIRST_CAPABILITY = 9
"""Major compute capability of Hopper; Blackwell's are larger."""
_TEXT_TOKENS = 512
_COMPARED_QUERIES = 64
_DTYPES = (torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class Attention:
    """Attention kernel of one pipeline."""

    torch_name: str | None
    """Torch's kernel for self-attention without a mask; None if it is not known."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """What is to be recorded beside the name."""
    mode: "_FlashAttention4 | None" = None

    def in_use(self) -> AbstractContextManager[object]:
        """Use the kernel in this thread inside the block."""
        return nullcontext() if self.mode is None else self.mode

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float | None
    ) -> torch.Tensor:
        """Attend with the kernel, without a mask; tensors have the shape (batch, heads, tokens, width)."""
        attend = functional.scaled_dot_product_attention if self.mode is None else self.mode.attend
        attended: torch.Tensor = attend(query, key, value, scale=scale)
        return attended

    @property
    def settings(self) -> dict[str, str]:
        """Name of the kernel, and notes, for the record."""
        name = self.torch_name if self.mode is None else FLASH_ATTENTION_4
        return {} if name is None else {"attention": name, **self.notes}

    def settings_since(self, num_calls_before: int) -> dict[str, str]:
        """What else than `settings` is true of a video, before which there were so many calls."""
        if self.mode is None or self.torch_name is None or num_calls() > num_calls_before:
            return {}
        return {"attention": self.torch_name, "attention_difference": "none: no call was without a mask"}


def check(wanted: AttentionKernel, device: torch.device) -> None:
    """Raise ConfigError if flash-attn-4 is wanted and missing, or not for this device."""
    reason = obstacle(device) if wanted == "fa4" else None
    if reason is not None:
        raise ConfigError(
            f"generator.attention: fa4 is wanted, and {reason}", "Use `generator.attention=auto`."
        )


def choose(pipeline: Any, wanted: AttentionKernel, num_tokens: int, device: torch.device) -> Attention:
    """Choose the kernel of a pipeline whose denoiser sees `num_tokens` tokens.

    `auto` takes flash-attn-4 if it is installed, the device can run it, and it is as exact as torch's kernel.
    Raises BackendError if `fa4` is wanted and it is not.
    """
    denoiser: Any = getattr(pipeline, "transformer", None)
    width = denoiser.config.get("attention_head_dim") if denoiser is not None else None
    if not isinstance(width, int):
        return Attention(None)
    shape = _Shape(width, num_tokens, denoiser.dtype, device)
    plain = Attention(_torch_kernel(shape))
    if wanted == "torch" or (wanted == "auto" and (obstacle(device) or shape.misfit)):
        return plain
    chosen = _tried(shape, plain)
    if wanted == "fa4" and chosen.mode is None:
        raise BackendError(
            f"flash-attn-4 cannot be used: {chosen.notes['attention_reason']}.",
            "Use `generator.attention=torch`.",
        )
    return chosen


def _tried(shape: "_Shape", plain: Attention) -> Attention:
    """Flash-attn-4 if it works at this shape and is exact there; else `plain`, with the reason."""
    reason = shape.misfit
    if reason is None:
        try:
            difference, error = _compare(shape)
        except Exception as failure:  # whatever a foreign package raises at its first use
            told = " ".join(str(failure).split())[:200]
            reason = f"it fails on this GPU ({type(failure).__name__}: {told})"
        else:
            if error <= LARGEST_ERROR:
                notes = {"attention_difference": f"{difference:.1e} relative to {plain.torch_name}"}
                return Attention(plain.torch_name, notes, _FlashAttention4(shape.width, shape.dtype))
            reason = f"it is not exact here, its error is {error:.1f} times that of {plain.torch_name}"
    return Attention(plain.torch_name, {"attention_reason": reason})


def obstacle(device: torch.device) -> str | None:
    """What stands in the way of flash-attn-4 on a device; None if nothing that is seen without its import."""
    if device.type != "cuda":
        return "it runs on GPUs only"
    if torch.cuda.get_device_capability(device)[0] < _FIRST_CAPABILITY:
        return "it runs on Hopper and newer GPUs only"
    try:
        found = util.find_spec(_MODULE) is not None
    except ImportError:  # no package of that name at all
        found = False
    return None if found else "it is not installed: pip install 'phyt2v[fa4]'"


def num_calls() -> int:
    """Calls of flash-attn-4 in this process so far."""
    return _calls


@dataclass(frozen=True)
class _Shape:
    width: int
    """Of one head."""
    num_tokens: int
    dtype: torch.dtype
    device: torch.device

    @property
    def misfit(self) -> str | None:
        """Why flash-attn-4 is not for this shape; None if it is."""
        if self.dtype not in _DTYPES:
            return f"the denoiser is in {str(self.dtype).removeprefix('torch.')}, not in half precision"
        return None if self.num_tokens >= FEWEST_TOKENS else f"{self.num_tokens} tokens are too few"


def _torch_kernel(shape: _Shape) -> str:
    # The choice does not depend on values, and on the number of heads and samples only if that is enormous.
    tensor = torch.empty(1, 1, shape.num_tokens, shape.width, dtype=shape.dtype, device=shape.device)
    with torch.inference_mode():
        chosen = torch._fused_sdp_choice(tensor, tensor, tensor)
    return SDPBackend(chosen).name.removesuffix("_ATTENTION").lower()


def _compare(shape: _Shape) -> tuple[float, float]:
    """Compare flash-attn-4 with torch's kernel, in self-attention and in attention to a text.

    Returns the larger relative difference of the two, and the larger error in errors of torch's.
    """
    generator = torch.Generator(shape.device).manual_seed(0)

    def tensor(length: int) -> torch.Tensor:
        size = (1, 2, length, shape.width)
        return torch.randn(size, generator=generator, device=shape.device, dtype=shape.dtype)

    differences, errors = [], []
    with torch.inference_mode():
        for length in (shape.num_tokens, _TEXT_TOKENS):
            query, key, value = tensor(shape.num_tokens), tensor(length), tensor(length)
            by_torch = functional.scaled_dot_product_attention(query, key, value)
            made = torch.ops.phyt2v.flash_attention_4(query, key, value, None)
            few = query[:, :, :_COMPARED_QUERIES].double()
            weights = (few @ key.double().mT / shape.width**0.5).softmax(-1)
            exact = weights @ value.double()
            differences.append(_distance(made, by_torch))
            errors.append(_distance(made, exact) / _distance(by_torch, exact))
    return max(differences), max(errors)


def _distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """Relative norm of the difference over the tokens that both have."""
    other = other.double()
    return float((one[:, :, : other.shape[2]].double() - other).norm() / other.norm())


class _FlashAttention4(TorchFunctionMode):
    """Mode of the current thread in which attention without a mask runs in flash-attn-4.

    A mode, since it is of one thread: a judge in another thread keeps its kernel, and its figures.
    """

    def __init__(self, width: int, dtype: torch.dtype) -> None:
        self._width = width
        self._dtype = dtype

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is functional.scaled_dot_product_attention:
            return self.attend(*args, **kwargs)
        return func(*args, **kwargs)

    def attend(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> torch.Tensor:
        """Take the place of torch's function of the same arguments."""
        is_plain = attn_mask is None and not dropout_p and not is_causal and query.ndim == 4
        # Grouped heads are left to torch too, whether or not they are announced.
        fits = is_plain and query.shape[:2] == key.shape[:2] and query.shape[2] >= FEWEST_TOKENS
        if fits and query.shape[3] == value.shape[3] == self._width and query.dtype == self._dtype:
            attended: torch.Tensor = torch.ops.phyt2v.flash_attention_4(query, key, value, scale)
            return attended
        return functional.scaled_dot_product_attention(
            query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
        )


_calls = 0


@torch.library.custom_op("phyt2v::flash_attention_4", mutates_args=())
def _flash_attention_4(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float | None
) -> torch.Tensor:
    """Attend with flash-attn-4, in torch's order of dimensions: (batch, heads, tokens, width)."""
    global _calls
    _calls += 1
    attend = import_module(_MODULE).flash_attn_func
    parts = (part.transpose(1, 2) for part in (query, key, value))
    made = attend(*parts, softmax_scale=scale)
    output: torch.Tensor = (
        made[0] if isinstance(made, tuple) else made
    )  # with the log-sum-exp, in some versions
    return output.transpose(1, 2)


@_flash_attention_4.register_fake
def _(query: torch.Tensor, *_: object) -> torch.Tensor:
    batch, heads, tokens, width = query.shape
    return query.new_empty(batch, tokens, heads, width).transpose(1, 2)
