"""Fixtures for every test: the real data sets, where they lie beside the repository, and scripted language models."""

import contextlib
import functools
import ipaddress
import os
import socket
import sys
import uuid
from pathlib import Path

import pytest
from hypothesis import settings

from recryst.tools import docstrings
from recryst.tools.program import settle_libraries

settle_libraries()  # as a run does first: a test may be the first of its process to load what is told by it

# The same examples in every run: what fails here fails everywhere, and not because a machine is busy.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

# Not a package of Recryst: `from llm_server import Failure` is how a test names what stands in this folder.
sys.path.append(str(Path(__file__).parent / "fakes"))


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests(tmp_path_factory):
    """The vectors kept for later runs lie in a folder of these tests, so that nothing depends on the machine."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("RECRYST_CACHE_DIR", str(folder / "shared"))
        yield folder


@pytest.fixture(scope="session", autouse=True)
def library_parsed_once():
    """The standard library is parsed once in a process, which takes seconds, whoever asks for its docstrings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(docstrings, "read_docstrings", functools.cache(docstrings.read_docstrings))
        yield


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk():
    """What the tests write need not outlive the machine, and a run waits a hundred times until it would."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(autouse=True)
def cache_of_the_test(cache_of_the_tests, monkeypatch):
    """Nor on another test: each begins with an empty cache, made when something is kept."""
    monkeypatch.setenv("RECRYST_CACHE_DIR", str(cache_of_the_tests / uuid.uuid4().hex))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the real data sets are not at {folder}")
    return folder


@pytest.fixture
def hub(monkeypatch):
    """A hub on this machine, and its token in the environment."""
    from hub import TOKEN, Hub

    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with Hub(TOKEN) as served:
        yield served


@pytest.fixture
def llm_server():
    """Start a fake server: ``llm_server(policy)`` returns it, running; it is closed after the test."""
    from llm_server import LlmServer

    with contextlib.ExitStack() as stack:
        yield lambda *arguments, **options: stack.enter_context(LlmServer(*arguments, **options))


@pytest.fixture
def script(tmp_path_factory):
    """A function, or fixed answers by kind, in the place of a model: ``script(policy).model`` names it."""
    from llm_script import Script

    folder = tmp_path_factory.mktemp("scripts")
    return lambda policy: Script(folder, policy)


@pytest.fixture
def no_network(monkeypatch):
    """Nothing is asked of a network, this machine's own included. Not an Exception, which whoever asked might catch."""

    def refuse(*_):
        pytest.fail("the network was asked for something")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host in ("", "localhost")


@pytest.fixture(scope="session", autouse=True)
def loopback_only():
    """No test of this process talks to anything but this machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(str(address[0])):
            # Not an Exception, which clients would take for a broken network and try again.
            pytest.fail(f"a test tries to reach {address}")
        return connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        yield
