"""The roles' backends: each made from its section of the config, and imported on use, so that nothing heavy
loads early.

A section is a value that crosses a process, so any role can be made in another one. Backends know the roles,
the config, files and errors; they must not know runs, rounds, the schedule or the terminal.
"""

from typing import TYPE_CHECKING

from phyt2v_cli.errors import ConfigError

if TYPE_CHECKING:
    from phyt2v_cli.config.schema import CaptionerConfig, GeneratorConfig, LlmConfig, ScorerConfig
    from phyt2v_cli.roles import ChatModel, VideoCaptioner, VideoGenerator, VideoScorer


def load_generator(config: "GeneratorConfig", *, num_planned_steps: int = 0) -> "VideoGenerator":
    """Load the video generator that a config's `generator` names; the slow part of every run.

    `num_planned_steps` is about how many denoising steps it will do, for preparations that must pay off.
    Raises ConfigError or ModelLoadError.
    """
    from phyt2v_cli.backends.diffusion.generator import load

    return load(config, num_planned_steps=num_planned_steps)


def make_chat_model(config: "LlmConfig") -> "ChatModel":
    """Make the LLM that a config's `llm` names; nothing is loaded or asked before its first use."""
    match config.backend:
        case "rulebook":
            from phyt2v_cli.backends.embedded.rulebook import Rulebook

            return Rulebook()
        case "openai":
            from phyt2v_cli.backends.server.roles import OpenAIChat

            return OpenAIChat(config)
        case "transformers":
            from phyt2v_cli.backends.local.roles import TransformersChat

            return TransformersChat(config)
        case None:
            raise ConfigError("llm.backend: none is set")


def make_captioner(config: "CaptionerConfig") -> "VideoCaptioner":
    """Make the captioner that a config's `captioner` names; nothing is loaded before its first use."""
    match config.backend:
        case "tracker":
            from phyt2v_cli.backends.embedded.tracker import TrackerCaptioner

            return TrackerCaptioner()
        case "openai":
            from phyt2v_cli.backends.server.roles import OpenAICaptioner

            return OpenAICaptioner(config)
        case "transformers":
            from phyt2v_cli.backends.local.roles import TransformersCaptioner

            return TransformersCaptioner(config)
        case None:
            raise ConfigError("captioner.backend: none is set")


def make_scorers(config: "ScorerConfig") -> "list[VideoScorer]":
    """Make the scorers that a config's `scorer` names, the deciding one first; nothing is loaded yet.

    Raises ConfigError if two of them have one name.
    """
    scorers = [make_scorer(one) for one in (config, *config.others)]
    names = [scorer.name for scorer in scorers]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"scorer.others: two scorers are called {name}", "Give one another name.")
    return scorers


def make_scorer(config: "ScorerConfig") -> "VideoScorer":
    """Make one scorer, without its `others`; nothing is loaded before its first use."""
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
