"""A script in the place of a language model (``scripted:PATH``) that chooses by chance among what is on offer.

The seed of a choice is the question itself, so that the same run chooses the same again. New rows are never chosen:
a script writes none that are worth anything.
"""

import random
from typing import Any

_WRITING = "synthesise"


def decide(question: dict[str, Any]) -> dict[str, Any]:
    """Any of the candidates of a round, ``stop`` among them, as likely as another."""
    offered = sorted(one["id"] for one in question["shown"]["candidates"] if one["action"] != _WRITING)
    return {"candidate": random.Random(question["said"]).choice(offered), "reasons": ["by chance"], "rejected": []}
