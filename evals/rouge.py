"""How much faster ROUGE-L against a pool is than ``rouge_score`` pair by pair, and that the verdicts are the same."""

import gzip
import json
from pathlib import Path

import numpy as np

from ..tools.repeats.rouge import RougePool
from .data import existing
from .table import Table, fastest

THRESHOLD = 0.7


def run(data: Path, pairs: int = 2000, seed: int = 0) -> Table:
    """Verdicts and seconds on pairs of new instructions (Alpaca) and known ones (Self-Instruct's 175 seeds).

    ``pairs``: at least so many pairs of each kind are compared.
    """
    with existing(data, "self_instruct/seed_tasks.jsonl").open(encoding="utf-8") as file:
        pool = [json.loads(line) for line in file]
    with gzip.open(existing(data, "alpaca/alpaca.jsonl.gz"), "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    order = np.random.default_rng(seed).permutation(len(rows))
    chosen = [rows[at] for at in order[: -(-pairs // len(pool))].tolist()]
    kinds: dict[str, tuple[list[str], list[str]]] = {
        "instructions": ([row["instruction"] for row in chosen], [task["instruction"] for task in pool]),
        "whole rows": (
            [f"{row['instruction']} {row['input']} {row['output']}" for row in chosen],
            [" ".join((task["instruction"], *task["instances"][0].values())) for task in pool],
        ),
    }
    lines = [_measured(name, *texts) for name, texts in kinds.items()]
    # Half of the new texts repeat a known one but for its end, so that there is something to reject.
    known = kinds["instructions"][1]
    near = [text.rsplit(" ", 1)[0] for text in known[: len(chosen)]]
    lines.append(_measured("near copies", near, known))
    columns = ("texts", "pairs", "repeats", "same verdicts", "rouge_score s", "Recryst s", "times faster")
    notes = ("One process; the pool is built within the measured time, every text is new to it.",)
    return Table("ROUGE-L F > 0.7 against a pool", columns, tuple(lines), notes, "recryst eval rouge --data DATA")


def _measured(name: str, texts: list[str], pool: list[str]) -> tuple[str, int, int, str, float, float, float]:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"])

    def published() -> list[bool]:
        return [max(scorer.score(text, one)["rougeL"].fmeasure for one in pool) > THRESHOLD for text in texts]

    def own() -> list[bool]:
        known = RougePool(THRESHOLD, pool)
        return [known.repeats(text) for text in texts]

    slow, theirs = fastest(published)
    fast, ours = fastest(own)
    same = "yes" if ours == theirs else "no"
    return name, len(texts) * len(pool), sum(ours), same, round(slow, 4), round(fast, 4), round(slow / fast, 1)
