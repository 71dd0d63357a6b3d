"""Check of a model's chat template before it is used: a trial in a process of its own.

A template is a small program by whoever published the model. It has no access to anything, but it may loop
for ever, or double a text until no memory is left. This file must not know models, roles or what is asked.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from phyt2v_cli.backends.checkpoints.template_trial import CPU_SECONDS
from phyt2v_cli.errors import ModelLoadError

_TRIAL = Path(__file__).with_name("template_trial.py")

_PATIENCE_S = 120
"""Limit of waiting, on a machine whose cores are busy with other things."""

_OUT_OF_TIME = (-signal.SIGXCPU, -signal.SIGKILL)


def check_template(template: str | Mapping[str, str], special_tokens: Mapping[str, Any], label: str) -> None:
    """Check that a chat template, or each of several, renders a conversation within limits.

    `label` names the model in errors. Raises ModelLoadError if one does not end, takes too much memory, or
    makes too much of a conversation.
    """
    named = json.dumps({name: str(token) for name, token in special_tokens.items()})
    for text in template.values() if isinstance(template, Mapping) else [template]:
        if fault := _try(text, named):
            raise ModelLoadError(
                f"{label} has a chat template that {fault}.",
                "Fetch the model again, from a source that you trust, or name another.",
            )


@lru_cache(maxsize=64)
def _try(template: str, special_tokens: str) -> str:
    request = json.dumps({"template": template, "special_tokens": json.loads(special_tokens)})
    try:
        ended = subprocess.run(
            [sys.executable, "-P", str(_TRIAL)],
            input=request,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=_PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"does not end within {_PATIENCE_S} s"
    if ended.returncode in _OUT_OF_TIME:
        return f"does not end within {CPU_SECONDS} s"
    if ended.returncode != 0:
        said = ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"]
        return f"could not be tried: {said[-1]}"
    return str(json.loads(ended.stdout)["fault"])
