"""What `refine` and `batch` share: how the loop is planned, who plays its roles, what a signal does to it.

Knows the config, the backends and the terminal; knows no run directory and no prompt.
"""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from phyt2v_cli.cli import console

if TYPE_CHECKING:
    from phyt2v_cli.cli.signals import StopRequest
    from phyt2v_cli.config import LoadedConfig
    from phyt2v_cli.refinement import Roles
    from phyt2v_cli.schedule import PlannedRound
    from phyt2v_cli.settings import Config


def plan_loop(loaded: "LoadedConfig") -> "tuple[Config, Sequence[PlannedRound]]":
    """Return the completed config and its plan; raise ConfigError where a role is played by nobody."""
    from phyt2v_cli.cli.preflight import check_judges, complete
    from phyt2v_cli.schedule import plan, swap_notice

    check_judges(loaded.config)
    config = complete(loaded)
    planned = plan(config.schedule, config.refinement.rounds)
    if notice := swap_notice(config.schedule):
        console.warn(notice)
    return config, planned


def show_plan(planned: "Sequence[PlannedRound]") -> None:
    """Show the plan as a table."""
    from phyt2v_cli.cli.plan_table import plan_table

    err = console.stderr()
    console.say(plan_table(planned, err.width, ascii_only=err.options.ascii_only))


def make_roles(config: "Config", *, num_planned_steps: int) -> "Roles":
    """Return who plays the four roles; the generator is loaded on its first use, and once for all runs."""
    from phyt2v_cli import backends
    from phyt2v_cli.refinement import Roles

    return Roles(
        load_generator=cache(lambda: backends.load_generator(config, num_planned_steps=num_planned_steps)),
        llm=backends.make_chat_model(config),
        captioner=backends.make_captioner(config),
        scorers=backends.make_scorers(config),
    )


def stop_request(message: str) -> "StopRequest":
    """Return what turns a signal into a stop; `message` says how to go on."""
    from phyt2v_cli.cli.signals import StopRequest

    return StopRequest(
        message,
        on_first=lambda: console.say_from_signal_handler("stopping soon; once more to stop at once"),
        on_second=console.show_cursor,
    )
