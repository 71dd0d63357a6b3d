"""Feature caches for drafts: parts of a denoising step are reused from the step before.

A draft only has to show the effect of the prompt, so it may be approximate; a final never is. Each cache is
one of diffusers'. It is enabled for one video and disabled again even after an error, so that the next final
equals one made alone. This file knows caches; it must not know prompts, rounds or families.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from diffusers import FirstBlockCacheConfig, PyramidAttentionBroadcastConfig, TaylorSeerCacheConfig

from phyt2v_cli.backends.acceleration import compilation

DEFAULT_STRENGTHS = {"first-block": 0.05, "pab": 2.0, "taylor": 3.0}
"""Default strength by cache.

`first-block`: largest relative change of the first block's residual at which the other blocks are reused.
`pab`: interval in steps at which attention is computed. `taylor`: interval in steps at which the whole step
is computed, with extrapolation in between. The last two save the same time for every prompt."""

_PAB_TIMESTEPS = (100, 850)
"""Timesteps, of 1000, with reuse. The first steps set the layout and the last ones the detail; they are
computed in full."""

_WARM_UP_STEPS = 3


@contextmanager
def cached(pipeline: Any, name: str, strength: float | None, *, compiled: bool) -> Iterator[None]:
    """Enable the cache `name` on the pipeline's denoisers inside this context.

    `strength` is None for the default; `compiled` tells if the denoisers' blocks are compiled.
    """
    config = _CONFIGS[name](pipeline, DEFAULT_STRENGTHS[name] if strength is None else strength)
    parts: list[Any] = [getattr(pipeline, part, None) for part in ("transformer", "transformer_2")]
    denoisers = [module for module in parts if hasattr(module, "enable_cache")]
    try:
        with ExitStack() as stack:
            for denoiser in denoisers:
                denoiser.enable_cache(config)
                if compiled and _keep_hooks_out_of_graphs(denoiser, stack):
                    stack.enter_context(compilation.interrupted_graphs())
            yield
    finally:
        for denoiser in denoisers:
            if denoiser.is_cache_enabled:
                denoiser.disable_cache()
            _forget_overrides(denoiser)


def _first_block(_: Any, strength: float) -> Any:
    return FirstBlockCacheConfig(threshold=strength)


def _pab(pipeline: Any, strength: float) -> Any:
    return PyramidAttentionBroadcastConfig(
        spatial_attention_block_skip_range=round(strength),
        spatial_attention_timestep_skip_range=_PAB_TIMESTEPS,
        current_timestep_callback=lambda: pipeline.current_timestep,
    )


def _taylor(_: Any, strength: float) -> Any:
    return TaylorSeerCacheConfig(
        cache_interval=round(strength),
        disable_cache_before_step=_WARM_UP_STEPS,
        max_order=1,
        use_lite_mode=True,  # the other mode silently caches nothing on most models
    )


_CONFIGS: dict[str, Callable[[Any, float], Any]] = {
    "first-block": _first_block,
    "pab": _pab,
    "taylor": _taylor,
}


def _keep_hooks_out_of_graphs(denoiser: torch.nn.Module, stack: ExitStack) -> bool:
    """Run hooked attentions of compiled blocks as plain Python; True if there is one.

    The hook counts steps, and a graph that includes the count would be compiled again at each step. The
    attention inside the hook is compiled by itself until `stack` is closed.
    """
    found = False
    for module in denoiser.modules():
        registry = getattr(module, "_diffusers_hook", None)
        hook = registry.get_hook("pyramid_attention_broadcast") if registry is not None else None
        if hook is not None:
            attention = hook.fn_ref.original_forward
            stack.callback(setattr, hook.fn_ref, "original_forward", attention)
            hook.fn_ref.original_forward = torch.compile(attention)
            module.forward = torch.compiler.disable(module.forward)  # type: ignore[no-untyped-call]
            found = True
    return found


def _forget_overrides(denoiser: torch.nn.Module) -> None:
    """Delete the attributes that a removed hook leaves on its module.

    Compiled graphs were made without them, and would be compiled again.
    """
    for module in denoiser.modules():
        registry = module.__dict__.get("_diffusers_hook")
        if module is not denoiser and registry is not None and not registry.hooks:
            del module.__dict__["_diffusers_hook"]
        override = module.__dict__.get("forward")
        if getattr(override, "__func__", None) is type(module).forward:
            del module.__dict__["forward"]
