"""Conversations: who says what in each turn, in every published dialect, and how that reads as text.

Known by their keys, turn by turn: OpenAI messages (``role``, ``content``, ``tool_calls``), ShareGPT (``from``,
``value``), Gemini contents (``role``, ``parts``), content blocks as Anthropic's and OpenAI's (``type``: ``text``,
``tool_use``, ``image_url``, …). JSON text of a list of turns is one, too: CSV has no other way to hold it.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from .columns import json_bytes

Turn = dict[str, Any]

_SPEAKERS = ("role", "from", "speaker", "author", "sender")
_SAID = ("content", "value", "parts", "text", "utterance", "message")
_CALLS = ("tool_calls", "function_call", "functionCall", "tool_call")
_REASONING = ("reasoning_content", "reasoning", "thinking", "thought")
_NAMES = {
    "human": "User", "user": "User", "gpt": "Assistant", "chatgpt": "Assistant", "bing": "Assistant",
    "assistant": "Assistant", "model": "Assistant", "bot": "Assistant", "chatbot": "Assistant", "char": "Assistant",
    "ai": "Assistant", "prompter": "User", "system": "System", "developer": "System",
    "function_call": "Call", "tool_call": "Call", "observation": "Tool", "function": "Tool",
    "tool": "Tool", "function_response": "Tool", "tool_response": "Tool",
}  # fmt: skip
_EXCHANGE = {"input", "output"}
_MEDIA = ("image", "audio", "video", "file", "document")
_DEPTH = 8  # blocks within blocks


def turns_of(value: Any) -> list[Turn] | None:
    """The turns of a conversation; None where a value is none, so that it is read as what it is.

    The replies of a tree of messages (OASST) follow the message that they answer, each with all that follow on it.
    """
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return None
    if isinstance(value, dict) and isinstance(value.get("replies"), list):
        return _branches(value) if is_turn(value) else None
    if not isinstance(value, list) or not value or not isinstance(value[0], dict):
        return None
    if all(isinstance(one, dict) and one.keys() == _EXCHANGE for one in value):  # Capybara
        return [turn for one in value for turn in (_by("user", one["input"]), _by("assistant", one["output"]))]
    return [turn if isinstance(turn, dict) else {"content": turn} for turn in value] if is_turn(value[0]) else None


def is_turn(value: Turn) -> bool:
    """Whether an object is a turn: somebody speaks, and says or calls something."""
    speaker = _key(value, _SPEAKERS)
    if speaker == "author" and str(value[speaker]).lower() not in _NAMES:
        return False  # whoever wrote an answer, a comment, a post
    return bool(speaker and (_key(value, _SAID) or _key(value, _CALLS)))


def alternating(value: Any) -> list[Turn] | None:
    """The turns of a list of strings, or of pairs of them, the user's first; None where a value is none."""
    if not isinstance(value, list) or not value:
        return None
    if all(isinstance(one, list) and len(one) == 2 for one in value):
        value = [said for pair in value for said in pair]
    if len(value) < 2 or not all(isinstance(said, str) for said in value):
        return None
    return [_by("assistant" if at % 2 else "user", said) for at, said in enumerate(value)]


def _by(role: str, said: Any) -> Turn:
    return {"role": role, "content": said}


def _branches(root: Turn) -> list[Turn]:
    turns, waiting = list[Turn](), [root]
    while waiting:
        turn = waiting.pop()
        turns.append({name: value for name, value in turn.items() if name != "replies"})
        replies = turn.get("replies")
        waiting += [one for one in reversed(replies if isinstance(replies, list) else []) if isinstance(one, dict)]
    return turns


def conversation(turns: list[Turn]) -> str | None:
    """A conversation as one text, each turn under its speaker; ``None`` where nobody says anything."""
    said = [(_heading(turn), said_in(turn)) for turn in turns]
    if not any(text.strip() for _, text in said):
        return None
    return "\n\n".join(f"### {name}:\n{text}" for name, text in said)


def said_in(turn: Turn) -> str:
    """What a turn says: its reasoning, its text and its calls, whatever of them there is; media as ``[image]``."""
    parts = [f"[reasoning] {_text(turn[key])}" for key in _REASONING if turn.get(key)]
    key = _key(turn, _SAID)
    parts.append(_text(turn[key]) if key else "")
    parts += [_call(call) for key in _CALLS if turn.get(key) for call in _listed(turn[key])]
    return "\n".join(part for part in parts if part.strip()) or parts[-1]


def plain_message(turn: Turn) -> dict[str, str] | None:
    """A turn of the user, the assistant or the system as its ``role`` and its ``content``; None where it is another's,
    or says more than a text."""
    role, key = _heading(turn).lower(), _key(turn, _SAID)
    said = turn[key] if key else None
    parts = said if isinstance(said, list) else [said]
    plain = all(isinstance(part, str) or (isinstance(part, dict) and _is_text_part(part)) for part in parts)
    more = any(turn.get(name) for name in (*_CALLS, *_REASONING))
    if role not in ("user", "assistant", "system") or more or not plain:
        return None
    return {"role": role, "content": said_in(turn)}


def _is_text_part(part: dict[str, Any]) -> bool:
    return part.get("type", "text") == "text" and isinstance(part.get("text"), str)


def spoken(turns: list[Turn]) -> Iterator[str]:
    """Each turn as a string that differs where anything in the turn does, but for the name of its speaker's key."""
    for turn in turns:
        speaker, key = _key(turn, _SPEAKERS), _key(turn, _SAID)
        by, said = turn.get(speaker or ""), turn.get(key or "")
        rest = any(value is not None for name, value in turn.items() if name not in (speaker, key))
        plain = isinstance(by, str) and "\n" not in by and isinstance(said, str) and not rest
        yield f"{by}\n{said}" if plain else json_bytes(turn).decode()


def _key(turn: Turn, names: tuple[str, ...]) -> str | None:
    """The first of ``names`` that a turn has, one with a value before one without."""
    held = [name for name in names if name in turn]
    return next((name for name in held if turn[name] is not None), held[0] if held else None)


def _heading(turn: Turn) -> str:
    speaker = _key(turn, _SPEAKERS)
    name = str(turn[speaker] or "unknown") if speaker else "unknown"
    return _NAMES.get(name.lower(), name.capitalize())


def _text(said: Any, depth: int = 0) -> str:
    """The text of a turn, of a list of parts or of one of them."""
    if said is None:
        return ""
    if isinstance(said, str):
        return said
    if depth > _DEPTH:
        return json_bytes(said).decode()
    if isinstance(said, list):
        return "\n".join(_text(part, depth + 1) for part in said)
    if not isinstance(said, dict):
        return str(said)
    kind = str(said.get("type") or "")
    media = next((name for name in _MEDIA if name in kind.lower()), None) or _media(said)
    if media and kind != "tool_result":
        return f"[{media}]"
    for key in ("text", "thinking"):
        if isinstance(said.get(key), str):
            return f"[reasoning] {said[key]}" if key == "thinking" else str(said[key])
    if kind == "tool_use" or _key(said, ("functionCall", "function_call")):
        return _call(said)
    if kind == "tool_result":
        return _text(said.get("content"), depth + 1)
    return json_bytes(said).decode()


def _media(part: Turn) -> str | None:
    """What kind of file a part without a type holds (Gemini's ``inlineData`` and ``fileData``)."""
    held = next((part[key] for key in ("inlineData", "inline_data", "fileData", "file_data") if key in part), None)
    if not isinstance(held, dict):
        return next((name for name in ("image", "audio", "video") if part.get(f"{name}_url") or name in part), None)
    mime = str(held.get("mimeType") or held.get("mime_type") or "file")
    return next((name for name in _MEDIA if mime.startswith(name)), "file")


def _call(call: Any) -> str:
    """A call of a tool: its name and its arguments."""
    if not isinstance(call, dict):
        return f"[call] {call}"
    held = next((call[key] for key in ("function", "functionCall", "function_call") if key in call), call)
    if not isinstance(held, dict):
        return f"[call] {json_bytes(call).decode()}"
    given: Any = next((held[key] for key in ("arguments", "args", "input", "parameters") if key in held), {})
    said = given if isinstance(given, str) else json_bytes(given).decode()
    return f"[call] {held.get('name', 'unknown')}({said})"


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
