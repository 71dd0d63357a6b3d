"""Address of a role's server: the config's, the environment's, or the vendor's own.

The vendor's SDK reads OPENAI_BASE_URL wherever it reads OPENAI_API_KEY, so users who set both mean that the
key goes to that address, and nowhere else. Knows no requests.
"""

import os
import re
from collections.abc import Mapping

from phyt2v_cli.config.judges import ServiceConfig
from phyt2v_cli.config.section import BASE_URL_PATTERN, BASE_URL_WORDS
from phyt2v_cli.errors import ConfigError

VENDOR_URL = "https://api.openai.com/v1"
VENDOR_KEY_ENV = "OPENAI_API_KEY"
VENDOR_URL_ENV = "OPENAI_BASE_URL"


def server_url(section: ServiceConfig, environment: Mapping[str, str] = os.environ) -> str:
    """Base URL of the server of an `openai` backend.

    Without `base_url` it is that of OPENAI_BASE_URL if the key is that of OPENAI_API_KEY, else the vendor's.
    Raises ConfigError if OPENAI_BASE_URL is used and no base URL.
    """
    if section.base_url is not None:
        return section.base_url
    ambient = environment.get(VENDOR_URL_ENV, "").strip() if section.api_key_env == VENDOR_KEY_ENV else ""
    if ambient and not re.search(BASE_URL_PATTERN, ambient):
        raise ConfigError(f"The environment variable {VENDOR_URL_ENV} {BASE_URL_WORDS}.")
    return ambient or VENDOR_URL
