"""One line of a person's, at the terminal or on the page: a command, or words for the language model."""

from collections.abc import Callable

from rich.console import RenderableType

from ...state.errors import MissingExtraError, ModelError, UsageError
from ..account import tables
from ..decide.proposals import Refusal
from .commands import COMMANDS, carry_out, read
from .conversation import Conversation
from .talk import Talk

_SHORT = {"y": "/yes", "yes": "/yes", "n": "/no", "no": "/no", "help": "/help", "?": "/help"}
_SHORT |= dict.fromkeys(("/quit", "quit", "q", "/exit", "exit"), "/quit")


def spelled(line: str) -> str:
    """A line with the command that its short form stands for."""
    return _SHORT.get(line, line)


class Lines:
    """What the lines of one conversation do. Nothing of them is evaluated; an error is one sentence."""

    def __init__(
        self, conversation: Conversation, show: Callable[[RenderableType], None], stream: Callable[[str], None]
    ) -> None:
        """``show`` puts something before the person, ``stream`` a piece of the language model's answer."""
        self._conversation, self._show, self._stream = conversation, show, stream
        model = conversation.session.model
        self._talk = None if model is None else Talk(conversation, model, show)

    def do(self, line: str) -> None:
        """One line, which is not empty.

        Raises:
            RecrystError: a step of the run failed.
        """
        command, *words = spelled(line).split()
        try:
            if command == "/help":
                self._help()
            elif tool := COMMANDS.get(command):
                found = carry_out(self._conversation, tool, read(tool, words), "person")
                self._conversation.note([tool.name])
                for shown in found.shown:
                    self._show(shown)
            elif command.startswith("/"):
                raise Refusal(f"there is no command {command}; /help lists them")
            elif self._talk is not None:
                self._say(self._talk, line)
            else:
                raise Refusal("no language model is configured (--llm PROVIDER:NAME): only commands work; /help")
        except Refusal as refusal:
            self._show(tables.line(str(refusal), "yellow"))

    def _say(self, talk: Talk, line: str) -> None:
        """A message to the language model. That it is out of reach or lacks a key harms nothing but the message."""
        try:
            talk.say(line, self._stream)
        except (ModelError, UsageError, MissingExtraError) as error:
            self._show(tables.line(str(error), "yellow"))
        self._show(tables.line(str(talk.model.purse), "dim"))

    def _help(self) -> None:
        for tool in COMMANDS.values():
            self._show(tables.line(f"  {tool.usage:<26} {tool.description}"))
        if self._talk is not None:
            self._show(tables.line("  anything else is for the language model, which sees figures and no rows"))
            if self._conversation.show_rows:
                self._show(tables.line("  and may have rows read by another question, whose answer only you see"))
