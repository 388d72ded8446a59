"""The vendors' own clients: made in one way, and their exceptions read as ``Fault``.

Every client is told never to retry, never to follow a redirect to another host, and, for a server on this machine,
never to go through a proxy: texts that are said to stay here stay here. Keys come from the environment alone, so
that no configuration, and hence no run, ever holds one.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import math
import os
import socket
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from ...state.errors import MissingExtraError, ModelError, UsageError
from .net import Fault, FaultKind

if TYPE_CHECKING:
    import ssl

    import httpx
    from anthropic import Anthropic
    from ollama import Client
    from openai import OpenAI

Vendor = Literal["anthropic", "openai", "ollama"]

# Where a vendor's client goes when nobody names an address: the variable it reads, and its own server.
_ADDRESSES: dict[Vendor, tuple[str, str]] = {
    "anthropic": ("ANTHROPIC_BASE_URL", "https://api.anthropic.com"),
    "openai": ("OPENAI_BASE_URL", "https://api.openai.com/v1"),
    "ollama": ("OLLAMA_HOST", "http://127.0.0.1:11434"),
}
_OLLAMA_PORT = 11434
_REACH_SECONDS = 2.0
_NO_KEY = "none"  # for servers that ask for none, where the client insists on one
_SAID = 200  # characters of a server's error message that are passed on

_BUSY = frozenset({408, 409, 425, 429})
_GATEWAY_GAVE_UP = frozenset({502, 504, 524})  # the server behind it may have answered, and billed, all the same
# Exception classes of httpx and httpx2, which share their names but no base class.
_NOT_REACHED = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"})
_NEVER_SENT = frozenset({"UnsupportedProtocol", "InvalidURL", "LocalProtocolError", "UnicodeEncodeError"})
_TRANSPORT = frozenset({"HTTPError", "StreamError"})
_TIMED_OUT = frozenset({"TimeoutException", "APITimeoutError", "TimeoutError"})
_UNREADABLE = (ValueError, TypeError, AttributeError, LookupError)  # how clients fail on JSON of another shape


def address(vendor: Vendor, base_url: str | None) -> str:
    """Where the vendor's client sends texts: ``base_url``, the vendor's variable, or the vendor's own server.

    Raises:
        UsageError: the address is not one, or holds a user name, a password or a query: it would stand in the log.
    """
    variable, default = _ADDRESSES[vendor]
    named = base_url or os.environ.get(variable) or default
    try:
        parts = urlsplit(named if "://" in named or vendor != "ollama" else _ollama_url(named))
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or "@" in parts.netloc or parts.query or parts.fragment:
        where = "base_url" if base_url else variable
        raise UsageError(f"{where} must read http://HOST:PORT/PATH or https://…, without user, password or query")
    return parts.geturl()


def _ollama_url(named: str) -> str:
    """``OLLAMA_HOST`` may lack scheme, host and port, as in ``0.0.0.0`` or ``:11434``."""
    parts = urlsplit(f"http://{named}")
    host = parts.netloc if parts.hostname else f"127.0.0.1{parts.netloc}"
    return parts._replace(netloc=host if parts.port else f"{host}:{_OLLAMA_PORT}").geturl()


def is_loopback(url: str) -> bool:
    """Whether the address is on this machine by what it says; no name but ``localhost`` is trusted to be."""
    host = urlsplit(url).hostname or ""
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return number.is_loopback or number.is_unspecified  # 0.0.0.0 reaches this machine


def stays_local(vendor: Vendor, model: str, base_url: str | None) -> bool:
    """Whether texts stay on this machine. An Ollama server here passes ``…-cloud`` models on to its maker's servers."""
    if vendor == "ollama" and model.rpartition(":")[2].rpartition("-")[2] == "cloud":
        return False
    return is_loopback(address(vendor, base_url))


def is_own(vendor: str, base_url: str | None) -> bool:
    """Whether the vendor's own servers answer, rather than somebody else's that speak the same format."""
    return any(
        vendor == name and urlsplit(address(name, base_url)).hostname == urlsplit(default).hostname
        for name, (_, default) in _ADDRESSES.items()
    )


# What makes a client raises ``MissingExtraError`` where the vendor's package is not installed; timeouts are in seconds.


def anthropic_client(base_url: str | None, timeout: float) -> Anthropic:
    """Anthropic's client.

    Raises:
        UsageError: ``ANTHROPIC_API_KEY`` is not set, or the address is not one.
    """
    make = _package("anthropic").Anthropic
    # Traces would carry texts to wherever the environment sends them.
    client: Anthropic = make(**_settings("anthropic", "Anthropic", base_url, timeout), open_telemetry=False)
    return client


def openai_client(base_url: str | None, timeout: float) -> OpenAI:
    """OpenAI's client; for every server but OpenAI's own the key is optional.

    Raises:
        UsageError: ``OPENAI_API_KEY`` is needed and not set, or the address is not one.
    """
    client: OpenAI = _package("openai").OpenAI(**_settings("openai", "OpenAI", base_url, timeout))
    return client


def _settings(vendor: Vendor, maker: str, base_url: str | None, timeout: float) -> dict[str, Any]:
    """What the clients above are made with; those they would send with by themselves follow redirects."""
    import httpx2

    url, key = address(vendor, base_url), _key(vendor)
    if key is None and (vendor == "anthropic" or is_own(vendor, base_url)):
        raise UsageError(f"{maker}'s server needs a key: set {_key_name(vendor)} in the environment")
    http_client = httpx2.Client(**_sending(url, timeout))
    return {"api_key": key or _NO_KEY, "base_url": url, "max_retries": 0, "http_client": http_client}


def ollama_client(
    base_url: str | None, timeout: float, on_response: Callable[[httpx.Response], None] | None = None
) -> Client:
    """Ollama's client (its own default is to wait for ever); ``on_response`` sees each response before it does."""
    ollama = _package("ollama")
    url = address("ollama", base_url)
    hooks = None if on_response is None else {"response": [on_response]}
    client: Client = ollama.Client(url, event_hooks=hooks, **_sending(url, timeout))
    return client


def _sending(url: str, timeout: float) -> dict[str, Any]:
    """How every client sends: see the module."""
    certificates = _certificates()
    return {"timeout": timeout, "follow_redirects": False, "trust_env": not is_loopback(url), "verify": certificates}


@functools.cache
def _certificates() -> ssl.SSLContext:
    """The authorities that servers are checked against. Reading them takes longer than all else in making a client."""
    import httpx

    return httpx.create_ssl_context()


def _key_name(vendor: Vendor) -> str:
    return f"{vendor.upper()}_API_KEY"


def _key(vendor: Vendor) -> str | None:
    return os.environ.get(_key_name(vendor), "").strip() or None


def _package(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtraError(f'models behind the package {name} need `pip install "recryst[llm]"`') from error


def reach(vendor: Vendor, base_url: str | None) -> None:
    """See that something listens at an address the user gave, or on this machine; nothing is sent.

    A vendor's own server is not tried, nor one behind a proxy.

    Raises:
        ModelError: the connection is refused, or is not there after two seconds.
        UsageError: the address is not one.
    """
    parts = urlsplit(address(vendor, base_url))
    host = parts.hostname or ""
    local = is_loopback(parts.geturl())
    if not local and (base_url is None or (parts.scheme in getproxies() and not proxy_bypass(host))):
        return
    try:
        socket.create_connection((host, parts.port or (443 if parts.scheme == "https" else 80)), _REACH_SECONDS).close()
    except (OSError, UnicodeError) as error:
        raise ModelError(f"{vendor}: the server at {parts.netloc} cannot be reached; is the address right?") from error


@contextlib.contextmanager
def faults(vendor: Vendor, base_url: str | None) -> Iterator[None]:
    """Within the block, whatever a vendor's client raises comes out as ``Fault``.

    Raises:
        Fault: the attempt failed; the sentence names host and port.
    """
    try:
        yield
    except (Fault, UsageError, MissingExtraError):
        raise
    except Exception as error:
        parts = urlsplit(address(vendor, base_url))
        fault = _fault_of(error, parts.netloc)
        if vendor == "openai" and fault.status == 404 and not parts.path.rstrip("/").endswith("/v1"):
            fault = Fault(fault.kind, f"{fault}; does the address end in /v1?", fault.status, fault.retry_after)
        raise fault from error


def _fault_of(error: Exception, server: str) -> Fault:
    """The fault that a client's exception stands for, as one sentence without keys; ``server`` is its host and port.

    The three clients' own exceptions, those of the two HTTP libraries below them, and those that reading an answer of
    another shape raises. Anything else is a defect, and is raised as it is.
    """
    status = getattr(error, "status_code", None) or getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(status, int) and status >= 300:
        kind = _kind_of_status(status, error)
        return Fault(kind, f"the server at {server} answered {status}{_said(error)}", status, _retry_after(error))
    # The vendors wrap the transport's exception, which tells how far the question came.
    names = {base.__name__ for one in (error, error.__cause__) for base in type(one).__mro__}
    if names & _NEVER_SENT:
        return Fault("permanent", f"the question cannot be sent to {server}")
    if names & _NOT_REACHED or type(error) in (ConnectionError, ConnectionRefusedError):
        return Fault("busy", f"the server at {server} cannot be reached")
    if names & _TIMED_OUT:
        return Fault("unsure", f"the server at {server} did not answer in time")
    if names & _TRANSPORT or isinstance(error, OSError):
        return Fault("unsure", f"the connection to {server} broke before the answer was whole")
    if "APIError" in names or "ResponseError" in names:  # an error event within a stream
        return Fault("unsure", f"the server at {server} broke off{_said(error)}")
    if isinstance(error, _UNREADABLE):
        return Fault("unsure", f"the answer of {server} is not what the vendor documents")
    raise error


def _kind_of_status(status: int, error: Exception) -> FaultKind:
    if status in _GATEWAY_GAVE_UP:
        return "unsure"
    if getattr(error, "code", None) == "insufficient_quota":  # a 429 of OpenAI's that no waiting cures
        return "permanent"
    return "busy" if status in _BUSY or status >= 500 else "permanent"


def _said(error: Exception) -> str:
    """``: MESSAGE`` as the server put it, cut, on one line and without keys; nothing where it gave none."""
    body: Any = getattr(error, "body", None) or getattr(error, "error", None)
    for _ in range(2):  # {"error": {"message": …}}, {"message": …} or the text itself
        if isinstance(body, dict):
            body = body.get("message") or body.get("error")
    if not isinstance(body, str) or body.lstrip().startswith(("<", "{", "[")):
        return ""
    for key in filter(None, map(_key, _ADDRESSES)):
        body = body.replace(key, "***")
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in body).split())
    return f": {line[:_SAID]}" if line else ""


def _retry_after(error: Exception) -> float | None:
    """Seconds the server asks to wait: ``retry-after-ms``, or ``retry-after`` in seconds or as a date."""
    # Ollama's exception keeps no response, but the one it was made from does.
    response = getattr(error, "response", None) or getattr(error.__context__, "response", None)
    headers = getattr(response, "headers", {})
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        text = headers.get(name, "")
        with contextlib.suppress(ValueError, OverflowError):
            try:
                seconds = float(text) * unit
            except ValueError:
                seconds = parsedate_to_datetime(text).timestamp() - time.time()
            if math.isfinite(seconds):
                return max(0.0, seconds)
    return None
