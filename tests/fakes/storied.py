"""A small run in which nearly everything happens.

Two processes, a language model that scores, judges, decides, writes and labels, and a person who approves, rejects,
chooses, keeps after all, undoes, says of single rows what they are, and finishes.
"""

import json
from pathlib import Path

import numpy as np
import yaml
from commands import QUICK

TAXONOMY = {
    "domains": {"animals": {"description": "animals", "keywords": ["cat", "dog"]}, "food": {"description": "food"}},
    "difficulties": {"easy": {"description": "short"}, "hard": {"description": "long"}},
}
SETTINGS = {
    "approve": True,
    **QUICK,
    "train": {"vocab_size": 300, "hidden_size": 64, "layers": 1, "heads": 2, "context": 16, "tokens": 2000},
    "quantise": {"formats": ["int8", "q8_0", "q4_0"]},
    "reduce": {"methods": ["pca", "tsne"], "landmarks": 100},
    "cluster": {"k": 9},  # too many, so that fewer pay
    "critique": {"max_pairs": 2},
    "quality": {"teacher_rows": 40, "folds": 3},
    "anchor": {"fraction": 0.3},
    "sealed": {"min_rows": 10},
    "stop": {"max_rounds": 8},
    "outcome": {"keep": 60, "target_noise": 0.02},
    "dedup": {"threshold": 0.9},
    "language": {"keep": ["en"]},
    "load": {"label_column": "group", "text_column": "text", "source_column": "source"},
}
TOPICS = {
    "animals": "cat dog horse rabbit wolf bird fish bear sheep goat fur paw tail wild pet zoo",
    "food": "bread cheese soup salad apple rice pasta butter sugar salt oven plate dinner cook spice",
    "money": "bank loan card account cash price market stock tax coin budget profit debt bill salary",
    "weather": "rain snow wind storm cloud sun thunder fog frost heat cold spring winter sky humid",
    "music": "guitar piano violin drum song melody choir concert rhythm opera singer band tune note jazz",
}
SIZES = (38, 38, 38, 38, 12)
WRONG = 0.2  # of the labels


def write_rows(path: Path) -> None:
    """164 rows on five topics, one of them rare and each with wrong labels among its own; with copies, an empty text,
    other languages and a broken line."""
    rng, lines = np.random.default_rng(0), []
    for (topic, words), size in zip(TOPICS.items(), SIZES, strict=True):
        for number in range(size):
            said = rng.choice(words.split(), 9, replace=False)
            text = "The {} and the {} were seen with a {}, a {} and one {} near the {}, {} or {} of {}.".format(*said)
            group = topic
            if number < WRONG * size:
                group = list(TOPICS)[(list(TOPICS).index(topic) + 1 + number % 3) % 4]
            lines.append({"id": f"{topic}{number}", "text": text, "group": group, "source": "ab"[number % 2]})
    order = rng.permutation(len(lines))
    lines = [lines[at] for at in order]
    lines += [{**lines[3], "id": "copy"}, {**lines[7], "id": None}, {**lines[9], "id": "blank", "text": " "}]
    lines.append({"text": "Der Hund und die Katze sind heute nicht zu Hause, sagt die Nachbarin.", "group": "animals"})
    told = [json.dumps(line) for line in lines]
    path.write_text("\n".join([*told[:20], '{"broken": ', *told[20:]]) + "\n", encoding="utf-8")


#: What a person answered before, on a copy, too.
ANSWERED = """id,suggested,answer
animals1,animals,label
food1,food,keep
money1,,remove
copy,,keep
gone,,keep
"""

#: Scores animals high, finds every two rows alike, and calls all rows easy food.
SCRIPT = """
def quality(question):
    animals = "cat dog horse rabbit wolf bird fish bear sheep goat fur paw tail".split()
    return {"score": lambda row: 5 if any(word in row["text"] for word in animals) else 1}

def generate(question):
    form = set("The and the were seen with a one near or of".split())
    said = [one["text"].strip(".").replace(",", "").split() for one in question["shown"]["examples"]]
    words = sorted({word.strip(".") for one in said for word in one} - form)
    form = "The {} and a {} were seen with one {}, the {} and a {} by the {}, {} or {} of {}."
    texts = [form.format(*(words[(step * n + step) % len(words)] for n in range(9))) for step in (1, 3, 5, 7, 9, 11)]
    return {"rows": [{"text": text} for text in texts[: question["shown"]["rows"]]]}

def decide(question):
    removals = [one["id"] for one in question["shown"]["candidates"] if one["action"] in ("relabel", "prune")]
    if len(question["messages"]) < 3 and not question["shown"]["history"]:
        wanted = [("try_clusters", {"algorithm": "kmeans", "size": 5}), ("score_cluster", {"cluster": 99})]
        wanted = [*(("appraise", {"candidate": one}) for one in removals[:2]), *wanted]
        return {"looks": [{"tool": tool, "arguments": given} for tool, given in wanted], "reasons": "to know more"}
    tried = [one["action"] for one in question["shown"]["history"] if one["outcome"] != "refused"]
    first = [action for action in ("relabel", "synthesise") if action not in tried]
    return {"order": [*first, "prune", "change_k", "deduplicate"], "reasons": "so"}
"""


def storied_run(folder: Path) -> Path:
    """Carry the run out in ``folder``; returns the run directory."""
    from recryst.agent.cli.progress import Reporter
    from recryst.agent.graph import placed
    from recryst.agent.session import Session
    from recryst.state.run import RunDirectory
    from recryst.state.settings import parse_config

    write_rows(folder / "rows.jsonl")
    (folder / "taxonomy.yaml").write_text(yaml.safe_dump(TAXONOMY))
    (folder / "seeds.jsonl").write_text(json.dumps({"id": "h0", "text": "A singer and a jazz band played a tune."}))
    (folder / "mind.py").write_text(SCRIPT)
    (folder / "review.csv").write_text(ANSWERED)
    more = {
        "llm": {"model": f"scripted:{folder / 'mind.py'}", "usd_per_million": (3.0, 15.0)},
        "label": {"taxonomy": str(folder / "taxonomy.yaml"), "max_model_rows": 10},
        "review": {"answers": str(folder / "review.csv"), "max_rows": 3},
        "synthesis": {"seeds": str(folder / "seeds.jsonl"), "max_rows": 6},
    }
    config = parse_config({**SETTINGS, **more}, "the test")
    run = RunDirectory.create(folder / "run", str(folder / "rows.jsonl"), config)
    with run.lock():
        first = Session(run, Reporter(quiet=True))
        first.start()
        with placed(first) as cycle:
            cycle.go_on()
            _answer(cycle, answer="approve")
        first.append("error", error="the power went")
        second = Session(run, Reporter(quiet=True))
        second.start()
        with placed(second) as cycle:
            cycle.go_on()
            for answer in ANSWERS:
                if cycle.waiting is None:
                    break
                while answer["answer"] == "keep" and cycle.waiting.value["rolled_back"] is None:
                    _answer(cycle, answer="approve")
                if "about" in answer:
                    at = ABOUT_ROWS.index(answer)
                    about = {**answer["about"], "row": int(second.view.kept()[at])}
                    _answer(cycle, answer="review", about=about)
                else:
                    _answer(cycle, **answer)
            assert cycle.waiting is None, "the run waits for another answer"
    return run.root


#: Said of the first rows that stand then.
ABOUT_ROWS: tuple[dict[str, object], ...] = (
    {"answer": "review", "about": {"answer": "remove"}},
    {"answer": "review", "about": {"answer": "keep"}},
    {"answer": "review", "about": {"answer": "label", "label": "food"}},
    {"answer": "apply"},
)
ANSWERS = (
    {"answer": "keep"},  # new labels, which did not pay on so few held-out rows
    {"answer": "choose", "action": {"action": "change_k", "algorithm": "kmeans", "k": 5}},
    {"answer": "approve"},
    {"answer": "keep"},  # new rows
    {"answer": "choose", "action": {"action": "change_k", "algorithm": "kmeans", "k": 4}},
    {"answer": "keep"},  # that clustering, once it was approved and measured
    {"answer": "undo"},
    {"answer": "reject"},
    *ABOUT_ROWS,
    {"answer": "run", "rounds": 2},
    {"answer": "finish"},
)


def _answer(cycle, **fields):
    from recryst.agent.decide.approval import shown_sha
    from recryst.state.decision import Proposal

    waiting = cycle.waiting
    shown = Proposal.model_validate(waiting.value)
    answer = {"shown_sha": shown_sha(shown), "interrupt_id": waiting.id, **fields}
    cycle.go_on(answer)
