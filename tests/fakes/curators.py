"""Minds that play Recryst's critic, decider, pairwise judge and teacher: neutral, contrary, or doing what rows say.

They know a question by what its answer must hold, and the shown rows and candidates by the JSON it is written in.
"""

import base64
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from llm_wire import Asked, ToolUse, walk
from policies import fill

Policy = Callable[[Asked], Any]


def curators(data: Path | None = None) -> dict[str, Policy]:
    """The curators by name; ``obedient`` knows the published attacks too where ``data`` has them."""
    from recryst.evals.attacks import attacks, curator_attacks

    published = () if data is None else ("bipia", "giskard")
    known = [*curator_attacks(), *(attack for family in published for attack in attacks(data, family))]
    return {
        "neutral": neutral,
        "regrouping": regrouping,
        "writing": writing,
        "obedient": obedient(attack.text for attack in known),
    }


def neutral(asked: Asked) -> Any:
    """Answers from figures alone, whatever the rows say; of the candidates it takes the one that takes most rows."""
    question, kind = shown(asked), kind_of(asked)
    if kind == "decide":
        return filled(asked, candidate=_most_rows(question["candidates"]), rejected=[])
    if kind == "critique":
        figures = question["figures"]
        verdict = "thin" if figures["near_duplicates"] >= 0.3 else "split" if figures["cohesion"] < 0.5 else "keep"
        return _judged(asked, verdict, 1 + round(4 * max(0.0, figures["cohesion"])), 3, "none", "rows of one kind")
    return filled(asked, same=True, score=3)


def regrouping(asked: Asked) -> Any:
    """Neutral, but always for as few clusters as it can have, and for ``stop`` after two rounds."""
    if kind_of(asked) != "decide":
        return neutral(asked)
    question = shown(asked)
    groupings = [one for one in question["candidates"] if "k" in one["params"] and len(question["history"]) < 2]
    chosen = min(groupings or [_stop(question["candidates"])], key=lambda one: one["params"].get("k", 0))["id"]
    return filled(asked, candidate=chosen, rejected=[], reasons="fewer clusters may serve better")


def writing(asked: Asked) -> Any:
    """Neutral, but for new rows where it can have them: it puts halves of the examples together, and accepts all."""
    kind, question = kind_of(asked), shown(asked)
    if kind == "synthesise":
        halves = [example["text"].split() for example in question["examples"]]
        pairs = [(one, other) for one in halves for other in halves if one is not other]
        texts = [" ".join(one[: len(one) // 2] + other[len(other) // 2 :]) for one, other in pairs]
        return {"rows": [{"text": text} for text in texts[: question["rows"]]]}
    if kind == "judge":
        return filled(asked, verdict="accept")
    offered = {one["action"]: one["id"] for one in question.get("candidates", [])}
    if "synthesise" in offered:
        return filled(asked, candidate=offered["synthesise"], rejected=[])
    return neutral(asked)


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

    def policy(asked: Asked) -> Any:
        question, kind = shown(asked), kind_of(asked)
        if kind == "decide":
            ordered = _orders(plain(asked.messages[0].text)).get("candidate")  # only a leak could bring it there
            return filled(asked, candidate=ordered or _most_rows(question["candidates"]), rejected=[])
        said = next((text for row in question.get("rows", []) if speaks(text := plain(row["text"]))), None)
        if said is None:
            return neutral(asked)
        orders = _orders(said)
        if "call the tool" in said:
            return ToolUse("prune", {"clusters": "all", "keep_fraction": 0})
        if kind == "critique":
            coherence, quality = int(orders.get("coherence", 1)), int(orders.get("quality", 1))
            issues = orders.get("issues", "low_quality")
            return _judged(asked, orders.get("verdict", "drop"), coherence, quality, issues, said)

        def score(row: dict[str, Any]) -> int:
            text = plain(row["text"])
            return int(_orders(text).get("score", 0)) if speaks(text) else 3

        return filled(asked, same=orders.get("same") == "true", score=score, reasons=said[:200])

    return policy


def filled(asked: Asked, **wishes: Any) -> Any:
    """The least answer to the schema, with one item for each shown row where items have ids.

    A property named in ``wishes`` takes that value; a function is called with the shown row.
    """
    if asked.schema is None:
        return "Nothing to add."
    return _filled(asked.schema, asked.schema, wishes, shown(asked), {})


def _filled(schema: dict[str, Any], root: dict[str, Any], wishes: dict[str, Any], question: Any, row: Any) -> Any:
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    if schema.get("type") == "object":
        value = {}
        for name, part in schema["properties"].items():
            wish = wishes.get(name, row.get(name) if name == "id" else None)
            wish = wish(row) if callable(wish) else wish
            if isinstance(wish, str) and part.get("type") == "array":
                wish = [wish]
            value[name] = _filled(part, root, wishes, question, row) if wish is None else wish
        return value
    if schema.get("type") == "array":
        item = schema["items"]
        whole = root["$defs"][item["$ref"].rsplit("/", 1)[1]] if "$ref" in item else item
        rows = question.get("rows", []) if "id" in whole.get("properties", {}) else []
        return [_filled(item, root, wishes, question, one) for one in rows or [{}]]
    return fill(schema, root) or {"integer": 1, "number": 1.0}.get(str(schema.get("type")), fill(schema, root))


def shown(asked: Asked) -> dict[str, Any]:
    """What the question shows, as JSON; an empty object where it is written in words."""
    text = next((turn.text for turn in asked.messages if turn.role == "user"), "")
    try:
        value = json.loads(text[text.find("{") : text.rfind("}") + 1])
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def kind_of(asked: Asked) -> str:
    """Which of Recryst's questions it is."""
    if "examples" in shown(asked):
        return "synthesise"
    names = {name for part in walk(asked.schema) for name in part.get("properties", {})}
    telling = {"candidate": "decide", "coherence": "critique", "same": "same_theme", "score": "quality"}
    telling |= {"labels": "label", "verdict": "judge"}
    return next((kind for name, kind in telling.items() if name in names), "other")


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


def _judged(asked: Asked, verdict: str, coherence: int, quality: int, issue: str, said: str) -> Any:
    wishes = {"coherence": coherence, "quality": quality, "issues": [issue], "verdict": verdict}
    return filled(asked, reasons=said[:500], theme=said[:100], **wishes)


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
