"""One file per way to play a role; the factories import it on use, so that nothing heavy loads early."""

from typing import TYPE_CHECKING

from phyt2v_cli.errors import ConfigError

if TYPE_CHECKING:
    from phyt2v_cli.interfaces import ChatModel, VideoCaptioner, VideoGenerator, VideoScorer
    from phyt2v_cli.settings import Config


def load_generator(config: "Config") -> "VideoGenerator":
    """Load the video generator that `config.generator` names; the slow part of every run."""
    from phyt2v_cli.backends.diffusers_generator import load

    return load(config.generator)


def make_chat_model(config: "Config") -> "ChatModel":
    """Return the LLM that `config.llm` names."""
    if config.llm.backend == "rulebook":
        from phyt2v_cli.backends.rulebook import Rulebook

        return Rulebook()
    raise ConfigError("llm.backend: none is set; choices: rulebook")


def make_captioner(config: "Config") -> "VideoCaptioner":
    """Return the captioner that `config.captioner` names."""
    if config.captioner.backend == "tracker":
        from phyt2v_cli.backends.tracker import TrackerCaptioner

        return TrackerCaptioner()
    raise ConfigError("captioner.backend: none is set; choices: tracker")


def make_scorer(config: "Config") -> "VideoScorer":
    """Return the scorer that `config.scorer` names."""
    if config.scorer.backend == "tracker":
        from phyt2v_cli.backends.tracker import TrackerScorer

        return TrackerScorer()
    raise ConfigError("scorer.backend: none is set; choices: tracker")
