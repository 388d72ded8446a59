"""The demo through the command line: its end on a small run, counted again here, and what the run never sees."""

import json

import numpy as np
import polars as pl
import pytest
from commands import SHORT
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from recryst.agent.account.won_back import WonBack, in_words
from recryst.agent.view import View
from recryst.state.log import read_log
from recryst.state.params.preparation import CleanParams
from recryst.state.params.vectors import EmbedParams
from recryst.tools.text.clean import normalise
from recryst.tools.vectors.embed import embed, open_cache, open_encoder

ROWS = 300


@pytest.fixture(scope="module")
def shown(recryst, tmp_path_factory):
    """The folder of a finished demo, the object ``--json`` printed, and what was said."""
    folder = tmp_path_factory.mktemp("demo")
    done = recryst("demo", "--rows", ROWS, "--seed", 3, "--json", *SHORT, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "runs", json.loads(done.stdout), done.stderr


def _score(vectors, labels, test, truth):
    """Macro-F1 over the classes of the truth, counted class by class."""
    model = LogisticRegression(C=10, max_iter=1000).fit(vectors, labels)
    said = model.predict(test)
    of = [f1_score(np.array(truth) == one, said == one, zero_division=0.0) for one in sorted(set(truth))]
    return float(np.mean(of))


def test_the_four_scores_are_those_of_the_four_sets(shown, cache_of_the_tests, monkeypatch):
    folder, told, _ = shown
    monkeypatch.setenv("RECRYST_CACHE_DIR", str(cache_of_the_tests / "shared"))  # where the run kept its vectors
    found = told["won_back"]
    rows, truth, test = (
        pl.read_ndjson(folder / f"docstrings{part}.jsonl", infer_schema_length=None) for part in ("", ".truth", ".test")
    )
    encoder = open_encoder(EmbedParams())
    texts = normalise(pl.concat([rows["text"], test["text"]]), CleanParams())
    vectors = np.array(embed(texts, encoder, open_cache(encoder, folder), EmbedParams()).vectors)
    kept = pl.concat([pl.read_parquet(path) for path in (folder / "demo" / "curated").glob("*.parquet")])
    label = "recryst_label" if "recryst_label" in kept.columns else "module"
    refined = rows.join(kept.select("id", refined=label), on="id", how="left", maintain_order="left")
    stays = (truth["fault"].is_in(["", "wrong label"])).to_numpy()
    left = refined["refined"].is_not_null().to_numpy()
    asked, right = vectors[rows.height :], test["module"].to_list()
    vectors = vectors[: rows.height]
    assert found["crude"] == pytest.approx(_score(vectors, rows["module"], asked, right), abs=0.01)
    assert found["refined"] == pytest.approx(
        _score(vectors[left], refined["refined"].drop_nulls(), asked, right), abs=0.01
    )
    assert found["oracle"] == pytest.approx(
        _score(vectors[stays], truth["module"].filter(stays), asked, right), abs=0.01
    )
    assert found["removed"] == rows.height - left.sum() == told["rows"]["removed"]
    by_chance = [
        _score(vectors[some], rows["module"].gather(some), asked, right)
        for some in (np.random.default_rng(seed).permutation(rows.height)[: left.sum()] for seed in range(5))
    ]
    assert abs(found["random"] - np.mean(by_chance)) <= max(0.03, 3 * np.std(by_chance))
    assert found["recovered"] == pytest.approx((found["refined"] - found["crude"]) / (found["oracle"] - found["crude"]))


def test_it_says_first_what_is_planted_and_draws_the_end(shown):
    folder, told, said = shown
    first = said.splitlines()[0]
    assert first.startswith("planted into the docstrings by seed 3: 10 % wrong labels, 4 % gibberish, 4 % boilerplate,")
    assert "--as-is leaves them out" in first
    plot = (folder / "demo" / "won-back.svg").read_text()
    assert told["plot"].endswith("demo/won-back.svg")
    for name in ("crude", "refined", "oracle", "random"):
        assert f"{told['won_back'][name]:.3f}" in plot


def test_nothing_of_the_truth_or_of_what_is_kept_apart_reaches_the_run(shown):
    folder, _, _ = shown
    test = pl.read_ndjson(folder / "docstrings.test.jsonl")
    truth = pl.read_ndjson(folder / "docstrings.truth.jsonl", infer_schema_length=None)
    assert 0 < test.height <= ROWS / 4
    assert truth["fault"].is_in(["", "wrong label"]).sum() == ROWS - test.height
    run = View.open(folder / "demo")
    originals = pl.read_parquet(run.path("originals"))
    assert {name for name in originals.columns if name != "row"} == {"id", "text", "module", "kind"}
    assert originals.height == truth.height
    assert not set(test["text"]) & set(originals["text"])
    assert not set(truth["name"].drop_nulls()) & set(originals["id"])
    names = [*test["name"], *truth["name"].drop_nulls()]
    settings = (folder / "demo" / "run.yaml").read_text()
    log = (folder / "demo" / "events.jsonl").read_text()
    assert not any(json.dumps(name)[1:-1] in log for name in names if len(name) > 12)
    assert not any(part in text for part in ("docstrings.truth", "docstrings.test") for text in (settings, log))


def test_the_same_command_shows_the_end_of_a_finished_demo_again(shown, here, monkeypatch):
    folder, told, _ = shown
    events = len(read_log(folder / "demo" / "events.jsonl")[0])
    monkeypatch.chdir(folder.parent)
    code, out, said = here("demo", "--rows", ROWS, "--seed", 3, *SHORT)
    assert code == 0, said
    assert len(read_log(folder / "demo" / "events.jsonl")[0]) == events
    assert in_words(WonBack(**told["won_back"])) in out
    assert "won-back.svg" in out.splitlines()[-1]


def test_as_is_plants_nothing_and_keeps_nothing_apart(here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, said = here("demo", "--as-is", "--rows", 200, "--json", *SHORT)
    assert code == 0, said
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"docstrings-as-is.jsonl", "demo-as-is"}
    rows = pl.read_ndjson(tmp_path / "runs" / "docstrings-as-is.jsonl")
    assert rows.height == 200
    assert all(row.startswith(module) for row, module in zip(rows["id"], rows["module"], strict=True))
    assert "planted" not in said
    assert "won_back" not in json.loads(out)


@pytest.mark.parametrize(
    ("refined", "oracle", "said"),
    [
        (0.5, 0.6, "the run won back 50 % of what the faults cost."),
        (0.4, 0.6, "the run won nothing back of what the faults cost."),
        (0.3, 0.6, "the run won nothing back of what the faults cost."),
        (0.5, 0.4, "the planted faults cost nothing here, so there was nothing to win back."),
    ],
)
def test_the_sentence_says_plainly_where_nothing_was_won(refined, oracle, said):
    share = None if oracle <= 0.4 else (refined - 0.4) / (oracle - 0.4)
    counts = {"removed": 100, "test_rows": 1500, "classes": 32}
    found = WonBack(crude=0.4, refined=refined, oracle=oracle, random=0.35, recovered=share, **counts)
    sentence = in_words(found)
    assert sentence.endswith(said)
    assert all(f"{score:.3f}" in sentence for score in (0.4, refined, oracle, 0.35))
