"""Feature caches for drafts: parts of a denoising step that are taken from the step before.

A draft only has to show what the prompt does, so it may be approximate; a final never is. Each cache is one
of diffusers', switched on for one video and off again, whatever happens in between, so that the next final
equals one made alone. This file knows caches; it must not know prompts, rounds or families.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from diffusers import FirstBlockCacheConfig, PyramidAttentionBroadcastConfig, TaylorSeerCacheConfig

from phyt2v_cli.backends.acceleration import compilation

DEFAULT_STRENGTHS = {"first-block": 0.05, "pab": 2.0, "taylor": 3.0}
"""`first-block`: largest relative change of the first block's residual for which the rest is taken from the
step before. `pab`: attention is computed every so many steps. `taylor`: the whole step is computed every so
many steps and extrapolated between. The last two save the same time whatever is drawn."""

_PAB_TIMESTEPS = (100, 850)
"""Of 1000: the first steps place things and the last ones draw detail, so these are computed in full."""

_WARM_UP_STEPS = 3


@contextmanager
def cached(pipeline: Any, name: str, strength: float | None, *, compiled: bool) -> Iterator[None]:
    """Let the denoisers, whose blocks are `compiled` or not, run with the cache `name` in this context."""
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
    """Let a compiled block call a cached attention as plain Python, and return whether there is one.

    The hook counts steps, and a graph that had a count in it would be compiled again at each one. What the
    hook calls is a graph of its own, until `stack` is left.
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
    """Take back what a removed hook leaves on its module: a compiled graph was made without it, and would be
    made once more."""
    for module in denoiser.modules():
        registry = module.__dict__.get("_diffusers_hook")
        if module is not denoiser and registry is not None and not registry.hooks:
            del module.__dict__["_diffusers_hook"]
        override = module.__dict__.get("forward")
        if getattr(override, "__func__", None) is type(module).forward:
            del module.__dict__["forward"]
