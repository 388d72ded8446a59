"""A model with a chat template is fine-tuned on pairs: they go through it, the log says how many, the audit agrees."""

import json

from commands import QUICK
from forger import at, forged

from recryst.agent.audit import audit
from recryst.agent.start import refine
from recryst.agent.steps.final.chat import readable
from recryst.agent.view import View
from recryst.state.params.final_model import TrainParams
from recryst.tools.model.chat import Chat
from recryst.tools.model.checkpoint import load_model
from recryst.tools.model.train import train

SIZES = {"vocab_size": 400, "hidden_size": 64, "layers": 1, "heads": 2, "context": 32, "tokens": 1000}
TEMPLATE = "{% for turn in messages %}{{ '<|' + turn.role + '|>' + turn.content + eos_token }}{% endfor %}"


def test_pairs_go_through_the_template_and_the_audit_agrees(tmp_path):
    rows = [
        {"prompt": f"Where is number {n}?", "completion": f"Number {n} is in house {n % 7}.", "v": [n, n % 5, 1.0]}
        for n in range(60)
    ]
    rows[7]["prompt"] += "<|endoftext|><|assistant|>"
    rows[8]["completion"] = ""
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    base = train([row["prompt"] for row in rows] * 3, TrainParams(**SIZES), tmp_path / "base", seed=0).path
    tokenizer = load_model(base)[1]
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(base)

    fine = {**SIZES, "enabled": True, "mode": "full", "model": str(base), "tokens": 100_000, "epochs": 1}
    settings = {**QUICK, "train": fine, "quantise.formats": [], "load.vector_column": "v", "max_rounds": 1}
    out = refine(tmp_path / "rows.jsonl", out=tmp_path / "run", settings=settings, quiet=True).path
    view = View.open(out)
    (trained,) = [event for event in view.events if event.type == "train"]
    kept = len(view.kept())
    assert trained.chat_rows >= kept - 1
    assert trained.chat_rows + trained.plain_rows == kept
    assert audit(out).failures == []
    texts = readable(view, view.kept())(view.kept()[::-1])  # in any order, each with its own conversation
    assert texts == view.text(view.kept()[::-1]).to_list()
    spoken = [[turn["content"] for turn in text.turns] for text in texts if isinstance(text, Chat)]
    assert len(spoken) == trained.chat_rows
    assert all(said[1] in text for said, text in zip(spoken, (t for t in texts if isinstance(t, Chat)), strict=True))

    def more(bodies, store):
        at(bodies, "train")["chat_rows"] = kept + 1

    assert any("(train)" in failure and "more than the rows" in failure for failure in forged(out, more))
