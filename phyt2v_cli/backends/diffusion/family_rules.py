"""Validation of the generator's settings against a family, as `field: message` lines.

This file must not import torch or diffusers, because it serves checks that run before anything is loaded. It
knows the config and the families' table; it must not know a family by name.
"""

from collections.abc import Iterator
from importlib.util import find_spec

from phyt2v_cli.backends.diffusion.families.family import Family
from phyt2v_cli.config.generator import GeneratorConfig

OPTIONS = ("guidance_scale_2", "true_cfg_scale")
"""Extra settings that only some families take."""


_COUNTING_CACHES = ("pab", "taylor")
"""Caches whose strength is an interval in steps, a whole number."""


def complaints(family: Family, config: GeneratorConfig) -> tuple[str, ...]:
    """Check sizes and options against the family; one `field: message` line for each problem.

    A wrong size comes with the nearest valid values.
    """
    return (
        *_size_complaints(family, config),
        *_option_complaints(family, config),
        *_package_complaints(family),
        *(() if config.gpus in (1, "auto") else split_complaints(family, config)),
    )


def _package_complaints(family: Family) -> Iterator[str]:
    for package in family.needs_packages:
        if find_spec(package) is None:
            yield (
                f"generator.model: {family.name} needs the package {package}, which is not installed; "
                f"pip install {package}"
            )


def split_complaints(family: Family, config: GeneratorConfig) -> Iterator[str]:
    """Say why a video cannot be split over GPUs; nothing if it can, as far as the config tells."""
    most = most_gpus(family, config)
    if most == 1:
        yield f"generator.gpus: {_guidance_obstacle(family, config)}; use 1"
    elif config.gpus != "auto" and config.gpus > most:
        share = (
            f"attention head of a {family.name}" if family.attention_heads else "of the two guidance branches"
        )
        yield f"generator.gpus: {most} at most, one for each {share}, not {config.gpus}"
    if config.draft_cache not in ("auto", "off"):
        yield f"generator.gpus: not together with generator.draft_cache={config.draft_cache}; use one of them"
    for name in ("gguf", "gguf_2"):
        if getattr(config, name) is not None:
            yield f"generator.gpus: weights of generator.{name} cannot be copied to another GPU; use 1"
    if config.quantize != "off":
        yield f"generator.gpus: not together with generator.quantize={config.quantize}; use one of them"


def most_gpus(family: Family, config: GeneratorConfig) -> int:
    """Most GPUs that can share a video; 1 if there is no way."""
    return max(1, family.attention_heads) * num_split_branches(family, config)


def num_split_branches(family: Family, config: GeneratorConfig) -> int:
    """Guidance branches that GPUs can compute apart: 2, or 1 if there is one or they cannot be told apart."""
    return 1 if _guidance_obstacle(family, config) else 2


def _guidance_obstacle(family: Family, config: GeneratorConfig) -> str | None:
    if not family.splits_guidance:
        return f"no way is known to split a video of this {family.name} over GPUs"
    guidance = family.negative_prompt_needs or "guidance_scale"
    scale = getattr(config, guidance)
    if not (family.is_guided if scale is None else scale > 1):
        return f"without guidance ({guidance} above 1) there is one branch"
    if family.negative_prompt_needs and not config.negative_prompt:
        return f"without a negative prompt {family.name} has one guidance branch"
    return None


def _size_complaints(family: Family, config: GeneratorConfig) -> Iterator[str]:
    grids = {
        "num_frames": family.num_frames,
        "height": family.height,
        "width": family.width or family.height,
    }
    for name, grid in grids.items():
        value = getattr(config, name)
        if value is None or grid.has(value):
            continue
        rule = f"makes {grid.in_words()} frames" if name == "num_frames" else f"needs {grid.in_words()}"
        nearest = [str(right) for right in grid.nearest(value)]
        yield (
            f"generator.{name}: {family.name} {rule}, not {value}; "
            f"the nearest {'are' if nearest[1:] else 'is'} {' and '.join(nearest)}"
        )


def _strength_complaints(config: GeneratorConfig) -> Iterator[str]:
    cache, strength = config.draft_cache, config.draft_cache_strength
    if strength is None:
        return
    if cache in ("auto", "off"):
        yield "generator.draft_cache_strength: no cache is on; set generator.draft_cache, or leave it out"
    elif cache in _COUNTING_CACHES and (strength < 2 or strength % 1):
        yield f"generator.draft_cache_strength: {cache} takes whole numbers from 2, not {strength:g}"


def _option_complaints(family: Family, config: GeneratorConfig) -> Iterator[str]:
    if family.options is not None:
        for name in OPTIONS:
            if getattr(config, name) is not None and name not in family.options:
                yield f"generator.{name}: {family.name} does not take it; leave it out"
    if config.draft_cache not in ("auto", "off", *family.draft_caches):
        known = ", ".join(family.draft_caches) or "none has been shown to work"
        yield f"generator.draft_cache: {family.name} has no {config.draft_cache}; caches that work: {known}"
    yield from _strength_complaints(config)
    fitting = ("auto", "own", *family.solvers)
    if config.solver not in fitting:
        yield (
            f"generator.solver: {config.solver} does not walk the noise schedule of this {family.name}; "
            f"use {', '.join(fitting)}"
        )
    if config.flow_shift is not None and not family.has_flow_shift:
        yield f"generator.flow_shift: the noise schedule of this {family.name} has none to set; leave it out"
    for name in ("lora_2", "gguf_2"):
        if getattr(config, name) is not None and "guidance_scale_2" not in (family.options or ()):
            yield f"generator.{name}: {family.name} has no second transformer; leave it out"
    needed = family.negative_prompt_needs
    if needed and config.negative_prompt and (getattr(config, needed) or 1) <= 1:
        yield (
            f"generator.negative_prompt: without generator.{needed} above 1 it has no effect "
            f"on {family.name}; set that, or leave it out"
        )
