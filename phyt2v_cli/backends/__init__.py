"""One file per way to play a role; the factories import it on use, so that nothing heavy loads early."""

import gc
from typing import TYPE_CHECKING

from phyt2v_cli.errors import ConfigError

if TYPE_CHECKING:
    from phyt2v_cli.interfaces import ChatModel, Roles, VideoCaptioner, VideoGenerator, VideoScorer
    from phyt2v_cli.settings import Config, ScorerConfig


def load_generator(config: "Config", *, num_planned_steps: int = 0) -> "VideoGenerator":
    """Load the video generator that `config.generator` names; the slow part of every run.

    `num_planned_steps` is about how many denoising steps it will do, for preparations that must pay off.
    """
    from phyt2v_cli.backends.control_ahead import GeneratorAhead, is_worth_it
    from phyt2v_cli.backends.diffusers_generator import load

    generator = load(config.generator, num_planned_steps=num_planned_steps)
    gc.freeze()  # imageio collects garbage on every close: 0.26 s each with torch loaded, now nothing
    return GeneratorAhead(generator) if is_worth_it(config, generator.settings) else generator


def make_chat_model(config: "Config") -> "ChatModel":
    """Return the LLM that `config.llm` names; nothing is loaded or asked before its first use."""
    match config.llm.backend:
        case "rulebook":
            from phyt2v_cli.backends.rulebook import Rulebook

            return Rulebook()
        case "openai":
            from phyt2v_cli.backends.openai_chat import OpenAIChat

            return OpenAIChat(config.llm)
        case "transformers":
            from phyt2v_cli.backends.transformers_chat import TransformersChat

            return TransformersChat(config.llm)
        case None:
            raise ConfigError("llm.backend: none is set")


def make_captioner(config: "Config") -> "VideoCaptioner":
    """Return the captioner that `config.captioner` names; nothing is loaded before its first use."""
    match config.captioner.backend:
        case "tracker":
            from phyt2v_cli.backends.tracker import TrackerCaptioner

            return TrackerCaptioner()
        case "openai":
            from phyt2v_cli.backends.openai_vision import OpenAICaptioner

            return OpenAICaptioner(config.captioner)
        case "transformers":
            from phyt2v_cli.backends.transformers_vision import TransformersCaptioner

            return TransformersCaptioner(config.captioner)
        case None:
            raise ConfigError("captioner.backend: none is set")


def make_scorers(config: "Config") -> "list[VideoScorer]":
    """Return the scorers that `config.scorer` names, the deciding one first; nothing is loaded yet.

    Raises ConfigError where two of them have one name.
    """
    scorers = [_make_scorer(one) for one in (config.scorer, *config.scorer.others)]
    names = [scorer.name for scorer in scorers]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"scorer.others: two scorers are called {name}; give one another `name`")
    return scorers


def overlap(config: "Config", roles: "Roles", prompt: str) -> "Roles":
    """Return `roles` that do at the same time, in one run, what does not depend on each other.

    `prompt` is the user's own, which videos are scored for and the control is made from.
    """
    from dataclasses import replace

    from phyt2v_cli.backends.control_ahead import for_run

    def load_generator() -> "VideoGenerator":
        return for_run(roles.load_generator(), prompt, config.run.seed)

    return replace(score_beside_captioning(config, roles, prompt), load_generator=load_generator)


def score_beside_captioning(config: "Config", roles: "Roles", prompt: str) -> "Roles":
    """Return `roles` with the scorers on servers asked while the captioner is at work, all at once.

    `prompt` is the user's own, which videos are scored for.
    """
    from dataclasses import replace

    from phyt2v_cli.backends.ahead import CaptionerBeside, ScorerAhead

    sections = (config.scorer, *config.scorer.others)
    scorers = [
        ScorerAhead(scorer, prompt) if section.backend == "openai" else scorer
        for section, scorer in zip(sections, roles.scorers, strict=True)
    ]
    ahead = [scorer for scorer in scorers if isinstance(scorer, ScorerAhead)]
    if not ahead:
        return roles
    return replace(roles, captioner=CaptionerBeside(roles.captioner, ahead), scorers=scorers)


def _make_scorer(config: "ScorerConfig") -> "VideoScorer":
    match config.backend:
        case "tracker":
            from phyt2v_cli.backends.tracker import TrackerScorer

            return TrackerScorer()
        case "openai":
            from phyt2v_cli.backends.openai_vision import OpenAIScorer

            return OpenAIScorer(config)
        case "transformers":
            from phyt2v_cli.backends.transformers_vision import TransformersScorer

            return TransformersScorer(config)
        case "command":
            from phyt2v_cli.backends.command_scorer import CommandScorer

            return CommandScorer(config)
        case None:
            raise ConfigError("scorer.backend: none is set")
