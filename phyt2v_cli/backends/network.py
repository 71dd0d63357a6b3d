"""Proxy and certificate variables of the environment, which decide how requests leave this machine.

Broken ones raise whatever the HTTP library likes, at the first request; here they are one line each, before
anything is sent. Values are never shown, since a proxy's URL may hold a password. This file must not know
roles or requests.
"""

import os
import ssl
from collections.abc import Iterator
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

_PROXIED = ("http", "https", "all")
_SUPPORTED = ("http", "https", "socks5", "socks5h")
CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Variables that say which certificates to trust."""


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine, which no proxy has to do with."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return host.endswith(".localhost")


def complaints(url: str) -> Iterator[str]:
    """Check the variables that requests to `url` obey; yield a line for each broken one."""
    if is_loopback(url):
        return
    for scheme, proxy in getproxies().items():
        if scheme in _PROXIED and proxy and (fault := _fault_of_proxy(proxy)):
            yield f"The environment variable {_name_of(scheme)} {fault}."
    yield from complaints_about_certificates()


def complaints_about_certificates() -> Iterator[str]:
    """Check the variables that name certificates; yield a line for each broken one."""
    if file := os.environ.get("SSL_CERT_FILE"):
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
        except OSError as error:  # ssl.SSLError is one
            fault = (
                error.strerror if error.errno and not isinstance(error, ssl.SSLError) else "no certificates"
            )
            yield f"The environment variable SSL_CERT_FILE names a file that cannot be used: {fault}."
    if (log := os.environ.get("SSLKEYLOGFILE")) and not _can_be_written(Path(log)):
        yield "The environment variable SSLKEYLOGFILE names a file that cannot be written."
    if (folder := os.environ.get("SSL_CERT_DIR")) and not all(map(Path.is_dir, map(Path, folder.split(":")))):
        yield "The environment variable SSL_CERT_DIR names a folder that is not there."


def _can_be_written(path: Path) -> bool:
    try:
        return not path.is_dir() and os.access(path if path.exists() else path.parent, os.W_OK)
    except (OSError, ValueError):
        return False


def at_work(url: str) -> str:
    """Sentence that names the variables which requests to `url` obey; empty if there are none."""
    if is_loopback(url):
        return ""
    proxies, parts = getproxies(), urlsplit(url)
    names = []
    if not proxy_bypass(parts.hostname or ""):
        schemes = [scheme for scheme in (parts.scheme, "all") if proxies.get(scheme)]
        names += [f"the proxy of {_name_of(scheme)}" for scheme in schemes[:1]]
    if parts.scheme == "https":
        names += [f"the certificates of {name}" for name in CERTIFICATE_VARIABLES if os.environ.get(name)]
    return f"The environment has it use {' and '.join(names)}." if names else ""


def _name_of(scheme: str) -> str:
    """Variable that names the proxy of a scheme, as it is spelt in the environment."""
    name = f"{scheme}_proxy"
    return next((spelt for spelt in (name, name.upper()) if os.environ.get(spelt)), name.upper())


def _fault_of_proxy(proxy: str) -> str:
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(char.isspace() for char in proxy):
        return "is not the URL of a proxy"
    if parts.scheme not in _SUPPORTED:
        return f"names a proxy of the kind {parts.scheme}; supported are {', '.join(_SUPPORTED)}"
    if parts.scheme.startswith("socks") and find_spec("socksio") is None:
        return "names a SOCKS proxy, which needs the package socksio"
    return ""
