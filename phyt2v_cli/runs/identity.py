"""Identity of a run: its folder's name, its key, and the differences between two runs.

Only what changes prompts or pixels counts. Knows no folder and reads no file.
"""

import hashlib
import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue, ValidationError

from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.config.judges import ScorerConfig
from phyt2v_cli.config.schema import Config
from phyt2v_cli.events import Purpose
from phyt2v_cli.runs.records import RunRecord, VideoRecord

_NOT_IDENTITY_OF_SERVICE = {"base_url", "api_key_env", "timeout_s", "max_retries", "concurrency", "device"}
_NOT_IDENTITY_OF_SCORER = {*_NOT_IDENTITY_OF_SERVICE, "keep_alive", "questions"}
_NOT_IDENTITY: Mapping[str, Any] = {
    "generator": {
        *("device", "gpus", "offload", "compile", "attention", "allow_truncation", "image", "video"),
        "preview_every",
        *("base_url", "api_key_env", "flavour", "timeout_s", "max_retries", "concurrency"),
    },
    "llm": {*_NOT_IDENTITY_OF_SERVICE, "prompt_token_price", "completion_token_price"},
    "captioner": _NOT_IDENTITY_OF_SERVICE,
    "scorer": {
        **dict.fromkeys(_NOT_IDENTITY_OF_SCORER, True),
        "others": {"__all__": _NOT_IDENTITY_OF_SCORER},
    },
    "prompts": {"analysis", "mismatch", "refinement"},
    "refinement": {"select", "control", "controls"},
    "search": {"calibration", "calibration_sha256"},
    "run": {"probe", "max_seconds", "max_cost", "price_per_hour"},
    "execution": True,
}
"""Settings outside the identity: where and how fast a run computes, the path of a file whose content counts,
what is rendered beside it, and which video is selected at the end."""

_MAX_SLUG_BYTES = 40


@dataclass(frozen=True)
class HeardJudges:
    """Judges that have left something in a run's records. The others may still be replaced."""

    llm: bool
    captioner: bool
    num_scorers: int | None
    """Number of scorers, in the order in which they are asked; None: all of them."""


@dataclass(frozen=True)
class Recipe:
    """Everything that makes the pixels of one video."""

    prompt: str
    seed: int
    steps: int
    purpose: Purpose
    generator: GeneratorConfig
    trajectory_steps: int | None = None
    """Steps of the denoising of which the video takes its own; None: it has one to itself."""

    @property
    def trajectory_key(self) -> str:
        """Digest of what the steps of the whole denoising depend on, 16 hex digits."""
        return _digest([self.prompt, self.seed, self.trajectory_steps, pixel_settings(self.generator)])

    @property
    def pixels_key(self) -> str:
        """Digest that is equal for two videos with the same pixels, 16 hex digits.

        It covers prompt, seed, steps and the generator settings that pixels depend on; for a draft also its
        feature cache. Rounds, schedule and judges are left out, so that a run may get more of each.
        """
        is_cached = self.purpose == "draft" and self.generator.draft_cache not in ("auto", "off")
        settings = pixel_settings(self.generator, is_cached=is_cached)
        # A video that takes the last step is the one of a denoising to itself.
        is_part = self.trajectory_steps not in (None, self.steps)
        whole = [self.trajectory_steps] if is_part else []
        return _digest([self.prompt, self.seed, self.steps, settings, *whole])


def pixel_settings(generator: GeneratorConfig, *, is_cached: bool = False) -> dict[str, JsonValue]:
    """Settings of the generator that pixels depend on, without defaults; those of a cache if `is_cached`."""
    excluded = {*_NOT_IDENTITY["generator"], *(() if is_cached else ("draft_cache", "draft_cache_strength"))}
    return generator.model_dump(mode="json", exclude=excluded, exclude_defaults=True)


def judge_settings(scorer: ScorerConfig) -> dict[str, JsonValue]:
    """Settings of a scorer that its scores depend on, without defaults and without further scorers."""
    excluded = {*_NOT_IDENTITY_OF_SCORER, "others"}
    return scorer.model_dump(mode="json", exclude=excluded, exclude_defaults=True)


def slugify(prompt: str) -> str:
    """Slug of a prompt for file names: letters and digits of any script, at most 40 bytes, never empty."""
    plain = unicodedata.normalize("NFKC", prompt[:500]).lower()
    words = "".join(char if char.isalnum() else " " for char in plain).split()
    cut = "-".join(words).encode()[:_MAX_SLUG_BYTES].decode(errors="ignore")
    return cut.strip("-") or "prompt"


def run_key(prompt: str, config: Config) -> str:
    """Digest that is equal for two runs with the same prompts and pixels, 16 hex digits.

    Values that equal their defaults are left out, so that a new setting does not rename old runs.
    """
    relevant = config.model_dump(mode="json", exclude=_not_identity(config), exclude_defaults=True)
    # Flat, because a section that differs only in what does not count would stay as an empty one.
    return _digest([prompt, dict(_flatten(relevant))])


def list_differences(
    prompt: str,
    config: Config,
    other_prompt: str,
    other_config: Mapping[str, JsonValue],
    heard: HeardJudges | None = None,
) -> list[str]:
    """List the differences that make another run, as ``key: there -> here`` lines; empty for the same run.

    `other_config` comes from a file, maybe of another version: missing keys mean the default. If `heard` is
    given, settings of judges outside it make no difference.
    """
    try:
        other: Mapping[str, object] = _identity_of(Config.model_validate(other_config), heard)
    except ValidationError:
        other = other_config
    here = dict(_flatten(_identity_of(config, heard)))
    there = dict(_flatten(other))
    lines = [] if prompt == other_prompt else [f"prompt: {_show(other_prompt)} -> {_show(prompt)}"]
    for key in sorted(here.keys() | there.keys()):
        if here.get(key) != there.get(key):
            lines.append(f"{key}: {_show(there.get(key))} -> {_show(here.get(key))}")
    return lines


def distinguishing_settings(config: Config) -> dict[str, object]:
    """Settings by which runs of one prompt are told apart, by their key: the identity, and the controls."""
    excluded = {section: keys for section, keys in _not_identity(config).items() if section != "refinement"}
    return dict(_flatten(config.model_dump(mode="json", exclude=excluded)))


def _identity_of(config: Config, heard: HeardJudges | None) -> dict[str, Any]:
    tree = config.model_dump(mode="json", exclude=_not_identity(config))
    if heard is not None:
        for role, is_heard in (
            ("llm", heard.llm),
            ("captioner", heard.captioner),
            ("scorer", heard.num_scorers != 0),
        ):
            if not is_heard:
                del tree[role]
        if not heard.llm:
            del tree["prompts"]
        if heard.num_scorers:
            tree["scorer"]["others"] = tree["scorer"]["others"][: heard.num_scorers - 1]
    return tree


def _not_identity(config: Config) -> Mapping[str, Any]:
    """Settings outside the identity; how scorers decide is one if they only select among finals."""
    if config.search.candidates > 1 or config.search.finals > 1:
        return _NOT_IDENTITY
    return {**_NOT_IDENTITY, "scorer": {**_NOT_IDENTITY["scorer"], "decide": True}}


def _flatten(tree: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _digest(tree: object) -> str:
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:16]


def _show(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def heard_judges(run: RunRecord, videos: Sequence[VideoRecord]) -> HeardJudges:
    """Judges that have left something in the records of a run."""
    all_scored = any(video.scores is not None for video in videos)
    return HeardJudges(
        llm=run.analysis is not None or any(video.refined_prompt is not None for video in videos),
        captioner=any(video.caption is not None for video in videos),
        num_scorers=None if all_scored else max((len(video.scorers) for video in videos), default=0),
    )


def candidate_seed(seed: int, candidate: str) -> int:
    """Seed of a candidate or of a further control: always the same one, and unlikely to be in use."""
    if not candidate:
        return seed
    return int.from_bytes(hashlib.sha256(f"{seed}.{candidate}".encode()).digest()[:7])
