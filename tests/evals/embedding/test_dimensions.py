"""The experiment on smaller vectors at a size a test can afford."""

import json
from functools import partial

from click.testing import CliRunner

from recryst.evals.cli import eval as evals
from recryst.evals.embedding import compact


def test_smaller_vectors_keep_less_and_finished_cells_are_read_back(few_intents, tmp_path, monkeypatch):
    monkeypatch.setattr(compact, "matryoshka_axes", partial(compact.matryoshka_axes, steps=40))
    words = ["dimensions", "--data", few_intents, "--set", "banking77", "--seeds", 1, "--rows", 300]
    words += ["--out", tmp_path / "out", "--json"]

    def run() -> list[dict]:
        return json.loads(CliRunner().invoke(evals, [*map(str, words)], catch_exceptions=False).stdout)

    smaller, beside = run()
    by = {(row["method"], row["dimensions"]): row for row in smaller["rows"]}
    assert by["all of it", 384]["recall@10"] == 1.0
    for method in ("truncated", "principal axes", "Matryoshka adapter"):
        recalls = [by[method, size]["recall@10"] for size in (192, 96, 48, 32)]
        assert recalls == sorted(recalls, reverse=True)
    assert by["one bit", 384]["recall@10"] < by["one bit, rescored", 384]["recall@10"]
    assert all(row["recall@10, least lead"] > 0 for row in beside["rows"])
    cell = tmp_path / "out/dimensions/banking77-0/cell.json"
    written = cell.stat().st_mtime_ns
    assert run()[0]["rows"] == smaller["rows"]
    assert cell.stat().st_mtime_ns == written
