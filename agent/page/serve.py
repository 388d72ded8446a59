"""The page on this machine's own address, until the person at the terminal ends it."""

from __future__ import annotations

import secrets
import socket
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ...state.errors import MissingExtraError
from ...state.run import RunDirectory
from ..browse.reader import Reader

if TYPE_CHECKING:
    import uvicorn

    from .desk import Desk
    from .owned import OwnedRuns

_LEAVE = 3.0  # seconds that the loop has to come to an end


def need_server() -> None:
    """Find out whether the page can be served, before anything is begun.

    Raises:
        MissingExtraError: Starlette or uvicorn is not installed.
    """
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MissingExtraError('the page needs `pip install "recryst[page]"`') from error


def server(
    root: Path, desk: Desk | None = None, owned: OwnedRuns | None = None
) -> tuple[uvicorn.Server, socket.socket, str]:
    """The server of the page of a run on a free port of 127.0.0.1, its socket, and the address with the token.

    ``desk``: the loop behind it; ``owned``: the runs that are begun from it.
    """
    import uvicorn

    from .app import Page

    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", 0))
    listening.listen()  # so that a browser that is quicker than the server waits
    port, token = listening.getsockname()[1], secrets.token_urlsafe(24)
    app = Page(Reader(root), desk, owned).app(token, port)
    config = uvicorn.Config(
        app, log_level="error", access_log=False, server_header=False, timeout_graceful_shutdown=1, lifespan="off"
    )
    return uvicorn.Server(config), listening, f"http://127.0.0.1:{port}/?token={token}"


def look(root: Path, say: Callable[[str], None], browser: bool) -> None:
    """Serve the page of a run, running or finished, to look at, until Ctrl-C."""
    need_server()
    served, listening, address = server(root)
    _serve(served, listening, address, say, browser)


def converse(directory: RunDirectory, desk: Desk, say: Callable[[str], None], browser: bool) -> bool:
    """Serve the page of a run that this process owns, and carry the run out behind it, until Ctrl-C.

    Returns:
        Whether the loop has come to rest, and that of every run begun from the page; if not, one is in the middle of a
        step.

    Raises:
        RecrystError: a step of the run failed.
    """
    need_server()
    from .owned import OwnedRuns

    owned = OwnedRuns(desk.who, desk.show_rows)
    served, listening, address = server(directory.root, desk, owned)
    desk.start()
    _serve(served, listening, address, say, browser)
    rested = desk.leave(_LEAVE) & owned.leave(_LEAVE)
    if desk.failed is not None:
        raise desk.failed
    return rested


def _serve(
    served: uvicorn.Server, listening: socket.socket, address: str, say: Callable[[str], None], browser: bool
) -> None:
    say(f"the page: {address}")
    say("Ctrl-C ends it")
    if browser:
        webbrowser.open(address)
    try:
        served.run(sockets=[listening])
    except KeyboardInterrupt:
        pass
    finally:
        listening.close()
