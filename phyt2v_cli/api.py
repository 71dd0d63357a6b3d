"""The library: roles made from a config.

Knows the config and the backends; knows no run directory, no prompt and no terminal.
"""

from contextlib import nullcontext
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from phyt2v_cli.config.schema import Config
    from phyt2v_cli.roles import Roles, VideoGenerator
    from phyt2v_cli.timing.trace import Timeline


def make_roles(
    config: "Config",
    *,
    num_planned_steps: int,
    timeline: "Timeline | None" = None,
    load_now: bool = False,
) -> "Roles":
    """Return who plays the four roles; the generator is loaded once for all runs.

    That is on its first use, or with `load_now` from now on, beside what the loop does before it needs it.
    """
    from phyt2v_cli import backends
    from phyt2v_cli.backends import ahead
    from phyt2v_cli.roles import Roles

    def load_generator() -> "VideoGenerator":
        with timeline.bar("load the generator") if timeline is not None else nullcontext():
            return backends.load_generator(config, num_planned_steps=num_planned_steps)

    # Before the generator, whose thread would otherwise import the same libraries at the same time.
    llm, captioner = backends.make_chat_model(config), backends.make_captioner(config)
    scorers = backends.make_scorers(config)
    # A local LLM is loaded by then too, and two loads at once are slower than one after the other.
    load_now = load_now and config.llm.backend != "transformers"
    return Roles(
        load_generator=ahead.begin(load_generator, name="load") if load_now else cache(load_generator),
        llm=llm,
        captioner=captioner,
        scorers=scorers,
    )
