"""The conversation on a terminal, or on piped lines: read a line, do what it says, show what waits."""

import contextlib
import io
import sys
import time

from rich.console import Console

from ...state.phrases import printable
from ..account import tables
from .conversation import Conversation
from .keyboard import keyboard
from .lines import Lines, spelled

PROMPT = "recryst> "
_CARRIES_OUT = ("/yes", "/run")
_UNREAD = 0.3  # seconds: a proposal that was answered sooner was not read


class Ended(KeyboardInterrupt):
    """The process is told to end, and not by whoever types."""


def end(*_: object) -> None:
    """What a signal to end the process does.

    Raises:
        Ended: always.
    """
    raise Ended


class Terminal:
    """A person at a keyboard. Nothing they type is evaluated; what they see of the data is printable text."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._console = Console(highlight=False, emoji=False)
        if not self._console.is_terminal:
            self._console.width = 120
        self._lines = Lines(conversation, self._console.print, self._stream)
        self._shown_at = -_UNREAD  # when the last new proposal was shown

    def run(self) -> None:
        """Converse until the run ends, the person leaves, or there are no more lines. At the prompt the first Ctrl-C
        gives up what was typed, and a second one leaves.

        Raises:
            RecrystError: a step of the run failed.
            KeyboardInterrupt: the person leaves by Ctrl-C, at the prompt or while the run is at work.
        """
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(errors="replace")  # a byte that is no text harms one character, not the conversation
        with keyboard(self._conversation) if sys.stdin.isatty() else contextlib.nullcontext():
            self._converse()

    def _converse(self) -> None:
        ended = self._conversation.proposal is None
        given_up = False
        while True:
            if self._show_proposal():
                _forget_typed_ahead()
                self._shown_at = time.monotonic()
            if self._conversation.proposal is None and not ended:
                return  # the run came to its end here
            try:
                line = input(PROMPT).strip()
            except EOFError:
                self._console.print()
                return
            except KeyboardInterrupt as stopped:
                if given_up or isinstance(stopped, Ended):
                    raise
                given_up = True
                self._console.print()
                self._console.print(tables.line("Ctrl-C again leaves, and so does /quit", "dim"))
                continue
            given_up = False
            if not sys.stdin.isatty():
                self._console.print(tables.line(line))  # so that what is left of a piped conversation can be read
            if spelled(line) == "/quit":
                return
            if self._too_soon(line):
                self._console.print(tables.line("that was before the proposal could be read: type it again", "yellow"))
                continue
            self._do(line)

    def _show_proposal(self, again: bool = False) -> bool:
        """Show the proposal that waits, if it was not shown before; whether one was shown."""
        if (again or self._conversation.unseen) and (waiting := self._conversation.proposal) is not None:
            self._console.print(tables.proposal(waiting))
            self._conversation.shown()
            return True
        return False

    def _too_soon(self, line: str) -> bool:
        """Whether somebody at a keyboard approves what they cannot have read; a script knows what it is about."""
        if not sys.stdin.isatty() or time.monotonic() - self._shown_at >= _UNREAD:
            return False
        command, *_ = spelled(line).split() or [""]
        return command in _CARRIES_OUT

    def _do(self, line: str) -> None:
        if not line:
            self._show_proposal(again=True)
            return
        self._lines.do(line)
        if spelled(line) == "/help":
            back = f"leave; `recryst chat {self._conversation.session.run.root}` comes back"
            self._console.print(tables.line(f"  {'/quit':<26} {back}"))

    def _stream(self, piece: str) -> None:
        """A piece of the model's answer; it must not steer the terminal either."""
        self._console.print("\n".join(map(printable, piece.split("\n"))), end="", markup=False, soft_wrap=True)


def _forget_typed_ahead() -> None:
    """Drop what was typed before this moment: it cannot be an answer to what has just been shown."""
    if sys.stdin.isatty():
        with contextlib.suppress(ImportError):  # there is no such thing on Windows
            import termios

            termios.tcflush(sys.stdin, termios.TCIFLUSH)
