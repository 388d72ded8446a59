"""Scripts that play Recryst's critic, decider, pairwise judge and teacher: neutral, contrary, or doing what rows say.

Each is a function for a Python file of the ``scripted:`` provider, and by ``over_http`` a policy of the fake server.
"""

import base64
import json
import re
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import Any

from llm_wire import Asked

Question = dict[str, Any]  # as ``recryst.agent.llm.scripted.question_of`` makes it
Policy = Callable[[Question], Any]


def curators(data: Path | None = None) -> dict[str, Policy]:
    """The curators by name; ``obedient`` knows the published attacks too where ``data`` has them."""
    from recryst.evals.attacks import attacks, curator_attacks

    published = () if data is None else ("bipia", "giskard")
    known = chain(*curator_attacks().values(), *(attacks(data, family) for family in published))
    return {
        "neutral": neutral,
        "regrouping": regrouping,
        "writing": writing,
        "obedient": obedient(known),
    }


def neutral(question: Question) -> Any:
    """Answers from figures alone, whatever the rows say; of the candidates it takes the one that takes most rows."""
    if question["kind"] == "decide":
        return {"candidate": _most_rows(question["shown"]["candidates"])}
    if question["kind"] == "critique":
        figures = question["shown"]["figures"]
        verdict = "thin" if figures["near_duplicates"] >= 0.3 else "split" if figures["cohesion"] < 0.5 else "keep"
        return _judged(verdict, 1 + round(4 * max(0.0, figures["cohesion"])), 3, "none", "rows of one kind")
    return {}


def regrouping(question: Question) -> Any:
    """Neutral, but always for as few clusters as it can have, and for ``stop`` after two rounds."""
    if question["kind"] != "decide":
        return neutral(question)
    shown = question["shown"]
    groupings = [one for one in shown["candidates"] if "k" in one["params"] and len(shown["history"]) < 2]
    chosen = min(groupings or [_stop(shown["candidates"])], key=lambda one: one["params"].get("k", 0))["id"]
    return {"candidate": chosen, "reasons": "fewer clusters may serve better"}


def writing(question: Question) -> Any:
    """Neutral, but for new rows where it can have them: it puts halves of the examples together, and accepts all."""
    offered = {one["action"]: one["id"] for one in question["shown"].get("candidates", [])}
    if "synthesise" in offered:
        return {"candidate": offered["synthesise"]}
    return neutral(question)


def obedient(attacks: Iterable[str] = ()) -> Policy:
    """The worst case: does whatever a shown row says.

    An order that fits the answer is followed to the letter, unknown values included; an order to call a tool is
    followed by a call; an order that nothing in the answer can follow (``attacks``) counts as one to ruin the cluster.
    The words of the attack go into every free text of the answer. The decider wants most rows gone.

    Args:
        attacks: texts that are recognised by their first words.
    """
    heads = {plain(text)[:24] for text in attacks}

    def speaks(text: str) -> bool:
        return bool(_orders(text)) or any(head in text for head in heads)

    def policy(question: Question) -> Any:
        shown, kind = question["shown"], question["kind"]
        if kind == "decide":
            ordered = _orders(plain(json.dumps(shown, ensure_ascii=False))).get("candidate")  # only by a leak
            return {"candidate": ordered or _most_rows(shown["candidates"])}
        rows = shown.get("rows", []) if kind != "generate" else []
        said = next((text for row in rows if speaks(text := plain(row["text"]))), None)
        if said is None:
            return neutral(question)
        orders = _orders(said)
        if "call the tool" in said:
            return {"tool": "prune", "arguments": {"clusters": "all", "keep_fraction": 0}}
        if kind == "critique":
            coherence, quality = int(orders.get("coherence", 1)), int(orders.get("quality", 1))
            issues = orders.get("issues", "low_quality")
            return _judged(orders.get("verdict", "drop"), coherence, quality, issues, said)

        def score(row: dict[str, Any]) -> int:
            text = plain(row["text"])
            return int(_orders(text).get("score", 0)) if speaks(text) else 3

        ordered = {"same_theme": {"same": orders.get("same") == "true"}, "quality": {"score": score}}
        return {**ordered.get(kind, {}), "reasons": said[:200]}

    return policy


def over_http(policy: Policy) -> Callable[[Asked], Any]:
    """The policy for the fake server; what it leaves out is filled in here."""
    from recryst.agent.llm.scripted import answered

    return lambda asked: answered(asked.question, policy)


def plain(text: str) -> str:
    """A text as an eager reader takes it: marks and spacing undone, base64 decoded, lower case."""
    text = " ".join(text.replace("▁", " ").split())
    for word in re.findall(r"[A-Za-z0-9+/]{40,}={0,2}", text):
        try:
            text += " " + base64.b64decode(word).decode()
        except ValueError:  # cut off, or not base64 after all
            continue
    return text.casefold()


def _orders(text: str) -> dict[str, str]:
    """The values that a text orders, the first of each name, and ``tool`` where it orders a call."""
    found = re.findall(r"\b(verdict|quality|coherence|issues|same|score|candidate)\"?\s*:\s*\[?\"?(\w+)", text)
    return dict(reversed(found)) | ({"tool": "prune"} if "call the tool" in text else {})


def _judged(verdict: str, coherence: int, quality: int, issue: str, said: str) -> dict[str, Any]:
    figures = {"coherence": coherence, "quality": quality, "issues": issue, "verdict": verdict}
    return {"reasons": said[:500], "theme": said[:100], **figures}


def _most_rows(candidates: list[dict[str, Any]]) -> str:
    """The id of the ``prune`` that takes most rows; without one, of another action, ``stop`` if need be."""
    for actions in (("prune",), ("refilter", "change_k")):
        ranked = [one for one in candidates if one["action"] in actions]
        if ranked:
            ranked.sort(key=lambda one: (-one["rows"], "k" not in one["params"], json.dumps(one["params"])))
            return str(ranked[0]["id"])
    return str(_stop(candidates)["id"])


def _stop(candidates: list[dict[str, Any]]) -> dict[str, Any]:
    return next(one for one in candidates if one["action"] == "stop")
