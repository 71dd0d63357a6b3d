"""Probe of the judges: each one on a server is asked once before anything is rendered.

So a dead or wrong one, further scorers included, costs no GPU time. Knows the roles and the config; knows no
server.
"""

from dataclasses import replace

from phyt2v_cli.config.schema import Config
from phyt2v_cli.roles import Probeable, Roles, VideoGenerator


def probed(config: Config, roles: Roles) -> Roles:
    """Wrap `roles` so that the judges are probed before the generator is loaded, if the config wants it.

    Loading it then raises BackendError if a judge does not answer. A judge that is no `Probeable`
    is not asked.
    """
    if not config.run.probe:
        return roles

    def load_generator() -> VideoGenerator:
        for judge in (roles.llm, roles.captioner, *roles.scorers):
            if isinstance(judge, Probeable):
                judge.probe()
        return roles.load_generator()

    return replace(roles, load_generator=load_generator)
