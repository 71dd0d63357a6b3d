"""Redaction of secrets in what servers and programs send back, and in what is logged.

A server repeats the key that it was sent; a program inherits all of the environment. Their replies become
prompts, captions and reasons, which are stored and shown, so each reply is redacted as it arrives, before it
is parsed. This is the only place that knows what a secret looks like. This file must not know requests,
processes or roles.
"""

import os
import re
from collections.abc import Mapping
from functools import cache
from html.entities import html5

MASK = "[key]"

MIN_NAMED_CHARS = 8
"""Shortest key that is redacted: shorter ones are placeholders such as "none", which replies may contain."""
_MIN_OTHER_CHARS = 16
"""Shortest secret that is redacted without being named; shorter values may be words."""
_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL")


def redact(text: str, key_env: str, environment: Mapping[str, str] = os.environ) -> str:
    """Replace each secret of the environment in `text` by `MASK`, however JSON, a URL or HTML escapes it.

    Secrets are the value of the variable `key_env`, and of each variable whose name speaks of one. `text` may
    be JSON inside JSON, so a character may be escaped several times.
    """
    for secret in _secrets(key_env, environment):
        text = re.sub("".join(map(_escaped, secret)), MASK, text)
    return text


def _secrets(key_env: str, environment: Mapping[str, str]) -> list[str]:
    found = set()
    for name, value in environment.items():
        shortest = MIN_NAMED_CHARS if name == key_env else _MIN_OTHER_CHARS
        if (name == key_env or _SECRET_NAME.search(name.upper())) and len(value.strip()) >= shortest:
            found.add(value.strip())
    return sorted(found, key=len, reverse=True)  # one may be the start of another


@cache
def _escaped(char: str) -> str:
    r"""Pattern of a character, as it is or as ``\x``, ``\u0078``, ``%78``, ``&#120;`` or ``&#x78;``."""
    code = ord(char)
    named = [name for name, shown in html5.items() if shown == char and name.endswith(";")]
    html = "|".join([f"#0*{code}", f"#(?i:x0*{code:x})", *(re.escape(name[:-1]) for name in named)])
    return rf"(?:\\{{0,8}}(?:{re.escape(char)}|u(?i:{code:04x}))|%(?i:{code:02x})|&(?:{html});)"
