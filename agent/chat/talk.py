"""Natural language: what a person says goes to the language model, which has the table's tools and sees no data."""

import json
from collections.abc import Callable

from rich.console import RenderableType

from ...prompts import prompt
from ...state.canonical import Json, canonical_json, sha256_bytes
from ..account.tables import line
from ..decide.proposals import Refusal
from ..llm import Message, OnText, Reply, Request, ToolCall, ToolSpec
from ..llm.ask import Unusable, schema
from ..llm.client import Model
from ..registry import READ_ROWS
from .commands import MODEL_TOOLS, carry_out
from .conversation import Conversation

TURNS = 6  # answers with tool calls to one message
MOST_CALLS = 8  # tools called in one answer
REMEMBERED = 24  # messages
LONGEST = 4000  # characters of a message


class Talk:
    """The memory of one conversation with the model; it is gone when the session ends."""

    def __init__(self, conversation: Conversation, model: Model, print: Callable[[RenderableType], None]) -> None:
        self.model = model
        self._conversation = conversation
        self._print = print
        self._messages: list[Message] = []
        self._specs = tuple(
            ToolSpec(name=tool.name, description=tool.description, parameters=schema(tool.params))
            for tool in MODEL_TOOLS.values()
            if conversation.show_rows or tool.name != READ_ROWS
        )

    def say(self, text: str, on_text: OnText) -> None:
        """Hand what the person said to the model and carry out its tool calls; ``on_text`` is given the answer.

        Raises:
            ModelError: the server refused, or stayed out of reach; the message is forgotten.
        """
        before, used = list(self._messages), list[str]()
        self._messages.append(Message(role="user", content=text[:LONGEST]))
        try:
            for _ in range(TURNS):
                calls = self._turn(on_text)
                used += [call.name for call in calls if call.name in MODEL_TOOLS]
                if not calls:
                    break
            else:
                self._print(line(f"the model called tools {TURNS} times and did not come to an answer", "yellow"))
        except BaseException:
            self._messages = before
            raise
        finally:
            # The message itself stands in the recorded question.
            self._conversation.note(used, sha256_bytes(json.dumps(text).encode()))
        self._forget()

    def _turn(self, on_text: OnText) -> tuple[ToolCall, ...]:
        """One question to the model; the calls it asked for, carried out."""
        streamed = False

        def stream(piece: str) -> None:
            nonlocal streamed
            streamed = True
            on_text(piece)

        instructions = prompt("chat")
        request = Request(
            kind="chat",
            prompt=instructions.reference,
            system=instructions.render(),
            messages=tuple(self._messages),
            tools=self._specs,
        )
        reply = self.model.ask(request, _read, stream)
        if reply is None:
            self._print(line("the language model gave no usable answer, or its budget is spent", "yellow"))
            return ()
        if reply.text and not streamed:  # it was on record
            on_text(reply.text)
        if reply.text:
            on_text("\n")
        self._messages.append(Message(role="assistant", content=reply.text, tool_calls=reply.tool_calls))
        for number, call in enumerate(reply.tool_calls):
            answer = self._call(call) if number < MOST_CALLS else {"error": "too many calls at once"}
            content = canonical_json(answer).decode()
            self._messages.append(Message(role="tool", content=content, tool_call_id=call.id))
        return reply.tool_calls

    def _call(self, call: ToolCall) -> Json:
        """Run a tool: the person sees its evidence, and what is returned is told to the model."""
        tool = MODEL_TOOLS.get(call.name)
        if tool is None:
            return {"error": "there is no such tool"}
        try:
            result = carry_out(self._conversation, tool, call.arguments, "model")
        except Refusal as refusal:
            return {"refused": str(refusal)}
        for shown in result.shown:
            self._print(shown)
        return result.told

    def _forget(self) -> None:
        """Keep the last messages, from one of the person's on."""
        recent = self._messages[-REMEMBERED:]
        first = next((at for at, message in enumerate(recent) if message.role == "user"), len(recent))
        self._messages = recent[first:]


def _read(reply: Reply) -> Reply:
    """Any answer with words or calls will do.

    Raises:
        Unusable: it has neither.
    """
    if not reply.text.strip() and not reply.tool_calls:
        raise Unusable("it is empty")
    return reply
