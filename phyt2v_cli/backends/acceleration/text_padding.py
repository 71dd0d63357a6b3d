"""Text without its padding, for denoisers that attend to text and video together under a mask.

A mask keeps attention from the padding of the text, and from the fastest kernels too: HunyuanVideo 1.5 writes
it out for every pair of tokens, and torch's slowest kernel reads it. If one video is denoised in a call, and
its padding comes last, the same is computed without both: the blocks get the tokens of the text alone, and no
mask. This file knows the blocks of these denoisers; it must not know prompts or memory.
"""

from typing import Any

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.embeddings import apply_rotary_emb
from diffusers.models.transformers.transformer_hunyuan_video15 import HunyuanVideo15AttnProcessor2_0


def drop_in(denoiser: Any) -> None:
    """Drop the padding in all calls of `denoiser` from now on, if it is one of these."""
    name = type(denoiser).__name__
    if name not in _FEWEST:
        return
    cut = _Cut(_FEWEST[name])
    for block in (*denoiser.transformer_blocks, *getattr(denoiser, "single_transformer_blocks", ())):
        block.register_forward_pre_hook(cut.arguments, with_kwargs=True)
        if isinstance(block.attn.processor, HunyuanVideo15AttnProcessor2_0):
            block.attn.set_processor(_Unmasked())


_FEWEST = {"HunyuanVideoTransformer3DModel": 1, "HunyuanVideo15Transformer3DModel": 0}
"""Fewest tokens of a text without its padding that blocks can take."""


class _Cut:
    """Cut of the arguments of blocks, which is worked out once for each mask."""

    def __init__(self, fewest: int) -> None:
        self._fewest = fewest
        self._mask: torch.Tensor | None = None
        self._length: int | None = None

    def arguments(
        self, _: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments of a block without padding and mask; as they are if the padding does not come last."""
        hidden_states, text, temb, mask, *others = args
        if mask is None:
            return args, kwargs
        if mask is not self._mask:
            self._mask, self._length = mask, _length_of(text, mask)
        if self._length is None or self._length < self._fewest:
            return args, kwargs
        return (hidden_states, text[:, : self._length], temb, None, *others), kwargs


def _length_of(text: torch.Tensor, mask: torch.Tensor) -> int | None:
    """Tokens of a text before its padding; None if some padding is between them, or there are several texts.

    The mask is of the text, or of the video and then the text.
    """
    if len(text) != 1:
        return None
    seen = mask.flatten()[-text.shape[1] :].bool()
    length = int(seen.sum())
    return length if bool(seen[:length].all()) else None


class _Unmasked(HunyuanVideo15AttnProcessor2_0):  # type: ignore[misc]
    """Attention of HunyuanVideo 1.5 that can do without a mask."""

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        image_rotary_emb: Any = None,
    ) -> Any:
        if attention_mask is not None or encoder_hidden_states is None:
            return super().__call__(
                attn, hidden_states, encoder_hidden_states, attention_mask, image_rotary_emb
            )

        def by_heads(projected: Any, norm: Any = None) -> Any:
            parts = projected.unflatten(2, (attn.heads, -1))
            return parts if norm is None else norm(parts)

        def turned(parts: torch.Tensor) -> Any:
            return apply_rotary_emb(parts, image_rotary_emb, sequence_dim=1)

        of_video = (
            turned(by_heads(attn.to_q(hidden_states), attn.norm_q)),
            turned(by_heads(attn.to_k(hidden_states), attn.norm_k)),
            by_heads(attn.to_v(hidden_states)),
        )
        of_text = (
            by_heads(attn.add_q_proj(encoder_hidden_states), attn.norm_added_q),
            by_heads(attn.add_k_proj(encoder_hidden_states), attn.norm_added_k),
            by_heads(attn.add_v_proj(encoder_hidden_states)),
        )
        query, key, value = (torch.cat(parts, dim=1) for parts in zip(of_video, of_text, strict=True))
        attended = dispatch_attention_fn(query, key, value, backend=self._attention_backend)
        attended = attended.flatten(2, 3).to(query.dtype)
        num_tokens = hidden_states.shape[1]
        video, text = attended[:, :num_tokens], attended[:, num_tokens:]
        return attn.to_out[1](attn.to_out[0](video)), attn.to_add_out(text)
