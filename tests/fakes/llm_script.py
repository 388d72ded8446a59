"""A function of a test in the place of a language model, by the product's own ``scripted:`` provider: no server."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

Policy = Callable[[dict[str, Any]], Any]

SCRIPTS: list["Script"] = []


class Script:
    """``model`` is what ``llm.model`` is to be; ``asked`` holds the questions put to ``policy`` so far."""

    def __init__(self, folder: Path, policy: Policy | dict[str, Any]) -> None:
        self.policy = policy if callable(policy) else partial(_fixed, policy)
        self.asked: list[dict[str, Any]] = []
        path = folder / f"policy{len(SCRIPTS)}.py"
        call = f"SCRIPTS[{len(SCRIPTS)}].answer(question)"
        path.write_text(f"from llm_script import SCRIPTS\n\n\ndef answer(question):\n    return {call}\n")
        SCRIPTS.append(self)
        self.model = f"scripted:{path}"

    def answer(self, question: dict[str, Any]) -> Any:
        """Note the question and have it answered."""
        self.asked.append(question)
        return self.policy(question)


def said(question: dict[str, Any]) -> str:
    """All that the model was shown: system, messages, schema."""
    return "\n".join([*(message["content"] for message in question["messages"]), f"{question['answer']}"])


def _fixed(answers: dict[str, Any], question: dict[str, Any]) -> Any:
    return "Done." if question["messages"][-1]["role"] == "tool" else answers.get(question["kind"], {})
