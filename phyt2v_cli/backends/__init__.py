"""Factories of the four roles: each backend is made from its config section and imported on first use.

Late imports keep heavy libraries out of quick commands. A config section pickles, so any role can also be
made in another process. Backends know the roles, the config, files and errors; they must not know runs,
rounds, the schedule or the terminal.
"""

from typing import TYPE_CHECKING

from phyt2v_cli.errors import ConfigError

if TYPE_CHECKING:
    from phyt2v_cli.config.generator import GeneratorConfig
    from phyt2v_cli.config.judges import CaptionerConfig, LlmConfig, ScorerConfig
    from phyt2v_cli.roles import ChatModel, VideoCaptioner, VideoGenerator, VideoScorer


def load_generator(config: "GeneratorConfig", *, num_planned_steps: int = 0) -> "VideoGenerator":
    """Load the video generator of the config section `generator`; the slow part of every run.

    `num_planned_steps` is the approximate number of denoising steps to come, which decides whether
    preparations such as compiling pay off. Raises ConfigError if the model or the device cannot follow the
    settings, ModelLoadError if the model is missing, broken or unsafe, and BackendError if memory runs out
    or the model fails on a test prompt. A server is not asked yet.
    """
    if config.backend == "server":
        from phyt2v_cli.backends.server.videos import ServerGenerator

        return ServerGenerator(config)
    from phyt2v_cli.backends.diffusion.generator import load

    return load(config, num_planned_steps=num_planned_steps)


def make_chat_model(config: "LlmConfig") -> "ChatModel":
    """Make the LLM of the config section `llm`; nothing is loaded or asked before its first use.

    Raises ConfigError if no backend is set, a local model is not named, or a base URL is not that of a
    server.
    """
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
    """Make the captioner of the config section `captioner`; nothing is loaded before its first use.

    Raises ConfigError if no backend is set, a local model is not named, or a base URL is not that of a
    server.
    """
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
    """Make the scorer of the config section `scorer` and its `others`; the first decides. Nothing is loaded.

    Raises ConfigError if two of them have the same name, or as `make_scorer` does.
    """
    others = [make_scorer(one, key=f"scorer.others[{n}]") for n, one in enumerate(config.others)]
    scorers = [make_scorer(config), *others]
    names = [scorer.name for scorer in scorers]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"scorer.others: two scorers are called {name}", "Give one another name.")
    return scorers


def make_scorer(config: "ScorerConfig", *, key: str = "scorer") -> "VideoScorer":
    """Make one scorer, without its `others`; nothing is loaded before its first use.

    Errors call its section of the config `key`.

    Raises ConfigError if no backend is set, a local model or a program is not named, or a base URL is not
    that of a server.
    """
    match config.backend:
        case "tracker":
            from phyt2v_cli.backends.embedded.tracker import TrackerScorer

            return TrackerScorer()
        case "openai":
            from phyt2v_cli.backends.server.roles import OpenAIScorer, OpenAISheetScorer

            kind = OpenAISheetScorer if config.has_sheet else OpenAIScorer
            return kind(config, key=key)
        case "transformers":
            from phyt2v_cli.backends.local.roles import TransformersScorer

            return TransformersScorer(config)
        case "command":
            from phyt2v_cli.backends.program.scorer import CommandScorer

            return CommandScorer(config)
        case "surprise":
            from phyt2v_cli.backends.local.surprise import SurpriseScorer

            return SurpriseScorer(config)
        case None:
            raise ConfigError(f"{key}.backend: none is set")
