"""One file per way to play a role; the factories import it on use, so that nothing heavy loads early."""

import gc
import logging
from typing import TYPE_CHECKING

from phyt2v_cli.errors import ConfigError

if TYPE_CHECKING:
    from phyt2v_cli.config.schema import Config, ScorerConfig
    from phyt2v_cli.roles import ChatModel, VideoCaptioner, VideoGenerator, VideoScorer


def load_generator(config: "Config", *, num_planned_steps: int = 0) -> "VideoGenerator":
    """Load the video generator that `config.generator` names; the slow part of every run.

    `num_planned_steps` is about how many denoising steps it will do, for preparations that must pay off.
    """
    from phyt2v_cli.backends.ahead import GeneratorAhead, is_worth_it

    logging.disable(logging.WARNING)  # what libraries say of each other as they are imported
    try:
        from phyt2v_cli.backends.diffusion.generator import load
    finally:
        logging.disable(logging.NOTSET)
    generator = load(config.generator, num_planned_steps=num_planned_steps)
    gc.freeze()  # imageio collects garbage on every close: 0.26 s each with torch loaded, now nothing
    return GeneratorAhead(generator) if is_worth_it(config, generator.settings) else generator


def make_chat_model(config: "Config") -> "ChatModel":
    """Return the LLM that `config.llm` names; nothing is loaded or asked before its first use."""
    match config.llm.backend:
        case "rulebook":
            from phyt2v_cli.backends.embedded.rulebook import Rulebook

            return Rulebook()
        case "openai":
            from phyt2v_cli.backends.server.roles import OpenAIChat

            return OpenAIChat(config.llm)
        case "transformers":
            from phyt2v_cli.backends.local.roles import TransformersChat

            return TransformersChat(config.llm)
        case None:
            raise ConfigError("llm.backend: none is set")


def make_captioner(config: "Config") -> "VideoCaptioner":
    """Return the captioner that `config.captioner` names; nothing is loaded before its first use."""
    match config.captioner.backend:
        case "tracker":
            from phyt2v_cli.backends.embedded.tracker import TrackerCaptioner

            return TrackerCaptioner()
        case "openai":
            from phyt2v_cli.backends.server.roles import OpenAICaptioner

            return OpenAICaptioner(config.captioner)
        case "transformers":
            from phyt2v_cli.backends.local.roles import TransformersCaptioner

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


def _make_scorer(config: "ScorerConfig") -> "VideoScorer":
    match config.backend:
        case "tracker":
            from phyt2v_cli.backends.embedded.tracker import TrackerScorer

            return TrackerScorer()
        case "openai":
            from phyt2v_cli.backends.server.roles import OpenAIScorer

            return OpenAIScorer(config)
        case "transformers":
            from phyt2v_cli.backends.local.roles import TransformersScorer

            return TransformersScorer(config)
        case "command":
            from phyt2v_cli.backends.program.scorer import CommandScorer

            return CommandScorer(config)
        case None:
            raise ConfigError("scorer.backend: none is set")
