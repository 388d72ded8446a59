"""The tools as commands: each works alone on a table, and one feeds the next."""

import json
import os
import subprocess
import sys
from functools import partial

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recryst.agent.cli.apply import Job, apply
from recryst.agent.cli.progress import Reporter
from recryst.agent.cli.tool import read_params
from recryst.agent.registry import CAPABILITIES, table_tools
from recryst.state.errors import InputError, UsageError
from recryst.state.params.preparation import CleanParams, DecontaminateParams, FilterParams
from recryst.state.phrases import silent
from recryst.state.rows import Removal
from recryst.tools.repeats.contamination import decontaminate
from recryst.tools.table_tool import TableTool


def test_a_table_through_one_tool_after_the_other(here, docstrings, tmp_path):
    def call(name, source, target=None, *settings):
        code, out, told = here("tool", name, source, *([target] if target else []), *settings)
        assert code == 0, told
        assert ("taken out" in told) == (name in ("clean", "filter", "dedup")), told
        return json.loads(out) if target is None else pl.read_parquet(target)

    steps = [tmp_path / f"{number}.parquet" for number in range(6)]
    cleaned = call("clean", docstrings, steps[0])
    assert cleaned.height <= 600  # the 30 copies are gone
    filtered = call("filter", steps[0], steps[1], "--set", "profile=short")
    unique = call("dedup", steps[1], steps[2], "--set", "threshold=0.7")
    assert cleaned.height >= filtered.height >= unique.height > 500
    embedded = call("embed", steps[2], steps[3])
    assert embedded["vector"].dtype in (pl.List(pl.Float32), pl.Array(pl.Float32, 384))
    clustered = call("cluster", steps[3], steps[4], "--set", "k=9")
    assert clustered["cluster"].n_unique() == 9
    assert set(docstrings_columns(docstrings)) <= set(clustered.columns)
    drawn = call("reduce", steps[3], steps[5], "--set", "methods=[pca]")
    assert {"pca_2d_x", "pca_3d_z"} <= set(drawn.columns)
    assert -1 <= call("score", steps[4])["silhouette"] <= 1
    assert 0 < call("probe", steps[2])["mean"] < 8


def docstrings_columns(path):
    return json.loads(path.read_text().splitlines()[0])


@pytest.mark.parametrize("name", table_tools())
def test_every_registered_tool_is_described(name):
    found = CAPABILITIES[name]
    assert found.load().name == name
    assert found.version >= 1
    assert found.description
    assert "\n" not in found.description
    assert found.description[0].isupper()
    assert found.description[-1] in ".…"
    assert found.params().model_dump() is not None


def test_what_is_wrong_with_a_call_is_one_sentence(recryst, docstrings, tmp_path):
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 no more")
    for arguments, said in (
        (["dedup", docstrings, tmp_path / "x.parquet", "--set", "treshold=0.7"], "did you mean 'threshold'"),
        (["dedup", docstrings], "give it an OUT file"),
        (["dedup", docstrings, tmp_path / "x.csv"], ".parquet or .jsonl"),
        (["cluster", docstrings, tmp_path / "x.parquet"], "no column 'vector'"),
        (["dedup", docstrings, tmp_path / "nowhere" / "x.parquet"], "nowhere"),
        (["dedup", docstrings, tmp_path / "x.parquet", "--set", "threshold=["], "not a value"),
        (["dedup", broken, tmp_path / "x.parquet"], "not a readable Parquet file"),
    ):
        done = recryst("tool", *arguments)
        assert done.returncode in (2, 3, 4), done.stderr
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_quantise_reports_what_it_measured(recryst, finished, tmp_path):
    root, result = finished
    text = tmp_path / "text.txt"
    text.write_text("Return the absolute path.\n\nRaise an error if the file does not exist.\n\n" * 20)
    done = recryst(
        "quantise", root / "model" / "dense", "--to", "nf4", "--out", tmp_path / "q", "--text", text, "--json"
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["size_bytes"] == next(m["size_bytes"] for m in result["models"] if m["name"] == "nf4")
    assert figures["perplexity_after"] == pytest.approx(figures["perplexity_before"], rel=0.1)
    refused = recryst("quantise", tmp_path / "q", "--to", "int8")
    assert refused.returncode == 3
    assert "already quantised" in refused.stderr


# Each tool alone, in a stream

ROWS = [
    {
        "id": f"r{n}",
        "text": "word " * (n % 4),
        "row": n,
        "n": n / 2,
        "mixed": [n, "x", {"a": n}][n % 3],
        "tags": ["t"] * (n % 2),
    }
    for n in range(40)
]


def _gone(text, params, advance):
    advance(len(text))
    return [
        Removal("long", np.arange(3, 40, 4, dtype=np.uint32), np.full(10, 15.0, dtype=np.float32), 14.0),
        Removal("copy", np.array([5, 9], dtype=np.uint32), duplicate_of=np.array([1, 1], dtype=np.uint32)),
        Removal("known", np.array([13], dtype=np.uint32), duplicate_of=pl.Series(["bench.jsonl#7"])),
    ]


def _marks(rows, params):
    text = rows["text"]
    return pl.DataFrame({"n": text.str.len_chars(), "words": text.str.split(" ")})


def own_tool(**how):
    return TableTool("own", **how)


def applied(tool, source, target, params=CleanParams, **options):
    return apply(tool, params(), Job(str(source), target, **options), Reporter(quiet=True))


def json_rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)) + "\n{broken\n")
    return path


def test_what_stays_is_what_was_there(source, tmp_path):
    tool = own_tool(annotate=_marks, removals=_gone)
    gone = {*range(3, 40, 4), 5, 9, 13}
    expected = [{**row, "text": row["text"]} for n, row in enumerate(ROWS) if n not in gone]
    result = applied(tool, source, tmp_path / "out.jsonl", removed=tmp_path / "gone.jsonl")
    assert json_rows(tmp_path / "out.jsonl") == expected
    assert (result.rows_in, result.rows_out, result.quarantined) == (40, 27, 1)
    assert result.removed == {"long": 10, "copy": 2, "known": 1}
    assert result.text_bytes_in == sum(len(row["text"]) for row in ROWS)
    assert result.text_bytes_out == sum(len(row["text"]) for row in expected)
    evidence = {row["recryst_id"]: row for row in json_rows(tmp_path / "gone.jsonl")}
    assert list(evidence) == [f"r{n}" for n in sorted(gone)]
    assert evidence["r3"] == ROWS[3] | {
        **{"recryst_id": "r3", "recryst_text": "word word word ", "recryst_reason": "long", "recryst_rule": "long"},
        **{"recryst_stage": "own", "recryst_score": 15, "recryst_threshold": 14},
        **dict.fromkeys(("recryst_span", "recryst_twin", "recryst_twin_text", "recryst_survivor")),
    }
    twin = {"recryst_twin": "r1", "recryst_twin_text": "word ", "recryst_survivor": "r1"}
    assert {name: evidence["r9"][name] for name in twin} == twin
    assert evidence["r13"]["recryst_twin"] == "bench.jsonl#7"
    applied(tool, source, tmp_path / "out.parquet", removed=tmp_path / "gone.parquet")
    applied(own_tool(annotate=_marks, removals=lambda *_: []), tmp_path / "out.parquet", tmp_path / "again.jsonl")
    assert json_rows(tmp_path / "again.jsonl") == expected
    assert pl.read_parquet(tmp_path / "gone.parquet")["recryst_id"].to_list() == list(evidence)


def test_a_column_that_looks_like_a_label_makes_rows_differ_and_is_said(here, tmp_path):
    rows = [("Great, another delay.", "positive"), *[("Great, another delay.", "negative")] * 2, *[("Kind.", "x")] * 2]
    path = tmp_path / "in.jsonl"
    path.write_text("\n".join(json.dumps({"id": str(n), "text": t, "label": m}) for n, (t, m) in enumerate(rows)))
    code, told, said = here(
        "tool", "clean", path, tmp_path / "out.jsonl", "--removed", tmp_path / "gone.jsonl", "--json"
    )
    assert code == 0
    assert json.loads(told)["removed"] == {"exact_duplicate": 2}
    assert json.loads(told)["choices"]["label_like"] == "label"
    assert "`label` looks like a label, 3 values: use --label-column label" in said
    assert "`label` looks like a label: 1 text stands with 2 values, and no such row is a copy of another" in said
    gone = {row["recryst_id"]: row for row in json_rows(tmp_path / "gone.jsonl")}
    assert {row: line["recryst_twin"] for row, line in gone.items()} == {"2": "1", "4": "3"}
    assert gone["2"]["label"] == "negative"
    code, _, said = here("tool", "clean", path, tmp_path / "out.jsonl", "--content-columns", "text")
    assert (code, "3 taken out" in said, "1 text stands" in said) == (0, True, False)
    code, _, said = here("tool", "clean", path, tmp_path / "out.jsonl", "--content-columns", "txt")
    assert (code, "'id', 'text', 'label'" in said) == (3, True)


def test_a_row_of_a_benchmark_goes_with_its_span_and_its_twin(tmp_path):
    question = "Which of these seven planets lies nearest to the sun in the month of May, and why is it so hot there?"
    (tmp_path / "bench.jsonl").write_text(json.dumps({"id": "q1", "question": question}))
    (tmp_path / "in.jsonl").write_text(
        "\n".join(
            json.dumps({"id": f"r{n}", "text": t}) for n, t in enumerate(["So.", f"I ask: {question} Well.", "No."])
        )
    )

    def params():
        return DecontaminateParams(against=(str(tmp_path / "bench.jsonl"),))

    job = {"removed": tmp_path / "gone.jsonl"}
    applied(decontaminate.TOOL, tmp_path / "in.jsonl", tmp_path / "out.jsonl", params, **job)
    [gone] = json_rows(tmp_path / "gone.jsonl")
    assert gone["recryst_twin"] == "bench.jsonl#q1"
    assert gone["recryst_twin_text"] == question
    assert gone["recryst_span"] == question.removesuffix("?")
    assert gone["recryst_survivor"] is None


def test_rows_that_a_tool_on_vectors_takes_out_are_counted(tmp_path):
    angles = np.radians([0, 1, 90, 91, 180])
    frame = pl.DataFrame({"text": list("abcde"), "vector": np.column_stack([np.cos(angles), np.sin(angles)]).tolist()})
    frame.write_parquet(tmp_path / "in.parquet")
    semantic = CAPABILITIES["semantic"]
    first = partial(semantic.params, which_to_keep="first")
    result = applied(semantic.load(), tmp_path / "in.parquet", tmp_path / "out.jsonl", first)
    assert (result.rows_in, result.rows_out, result.removed) == (5, 3, {"semantic": 2})
    assert [row["text"] for row in json_rows(tmp_path / "out.jsonl")] == ["a", "c", "e"]


def test_types_of_a_table_are_kept(tmp_path):
    table = pa.table(
        {
            "text": pa.array([f"t{n}" for n in range(3000)], pa.large_string()),
            "kind": pa.array(["a", "b", None] * 1000).dictionary_encode(),
            "small": pa.array([n % 100 for n in range(3000)], pa.uint8()),
            "when": pa.array([n * 10**6 for n in range(3000)], pa.timestamp("us", tz="UTC")),
            "vector": pa.array([[n, 0.5] for n in range(3000)], pa.list_(pa.float32(), 2)),
            "raw": pa.array([b"\xff"] * 3000),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=700)
    applied(own_tool(removals=_gone), tmp_path / "in.parquet", tmp_path / "out.parquet")
    kept = np.setdiff1d(np.arange(3000), [*range(3, 40, 4), 5, 9, 13])
    written = pq.read_table(tmp_path / "out.parquet")
    assert written.schema.equals(table.schema)
    assert written.to_pylist() == table.take(pa.array(kept)).to_pylist()
    assert pq.ParquetFile(tmp_path / "out.parquet").num_row_groups == 1, "small groups are gathered"


def test_annotations_stand_beside_every_row(source, tmp_path):
    tool = own_tool(annotate=_marks, removals=_gone)
    result = applied(tool, source, tmp_path / "out.jsonl", annotate=True)
    assert (result.rows_out, result.removed) == (40, {})
    marked = json_rows(tmp_path / "out.jsonl")
    assert [{name: row[name] for name in ROWS[0]} for row in marked] == ROWS
    assert [row["n_"] for row in marked] == [len(row["text"]) or None for row in ROWS]
    assert marked[3]["words"] == ["word", "word", "word", ""]
    with pytest.raises(UsageError, match="no columns to add"):
        applied(own_tool(removals=_gone), source, tmp_path / "x.jsonl", annotate=True)


def test_a_text_made_anew_takes_its_column(tmp_path):
    (tmp_path / "body.jsonl").write_text('{"body": " a\\r", "id": 1}\n{"body": " ", "id": 2}\n{"body": "a", "id": 3}\n')
    applied(CAPABILITIES["clean"].load(), tmp_path / "body.jsonl", tmp_path / "out.jsonl")
    assert json_rows(tmp_path / "out.jsonl") == [{"body": "a", "id": 1}, {"body": " ", "id": 2}]
    (tmp_path / "chat.jsonl").write_text('{"instruction": "Go!", "output": "\\u200bGone. "}\n')
    applied(CAPABILITIES["clean"].load(), tmp_path / "chat.jsonl", tmp_path / "out.jsonl")
    assert json_rows(tmp_path / "out.jsonl") == [
        {"instruction": "Go!", "output": "\u200bGone. ", "text": "### Instruction:\nGo!\n\n### Response:\nGone."}
    ]


def test_what_was_there_stays_until_all_is_written(source, tmp_path):
    def breaks(text, params):
        if len(text) > 1:
            raise InputError("in the middle of writing")
        return _marks(text, params)

    target = tmp_path / "out" / "rows.parquet"
    target.parent.mkdir()
    target.write_bytes(b"of yesterday")
    with pytest.raises(InputError, match="in the middle"):
        applied(own_tool(annotate=breaks), source, target)
    assert target.read_bytes() == b"of yesterday"
    assert list(target.parent.iterdir()) == [target]
    (tmp_path / "link.jsonl").symlink_to(source)
    for same in (source, tmp_path / "link.jsonl"):
        with pytest.raises(UsageError, match="is the input"):
            applied(own_tool(annotate=_marks), source, same)


def test_one_profile_holds_for_the_whole_table(tmp_path):
    chosen = []

    def annotate(text, params):
        chosen.append(params.profile)
        return _marks(text, params)

    (tmp_path / "web.jsonl").write_text("".join(f'{{"text": "{"w " * (n // 10)}"}}\n' for n in range(3000)))
    applied(own_tool(annotate=annotate), tmp_path / "web.jsonl", tmp_path / "out.jsonl", FilterParams)
    assert set(chosen) == {"prose"}, "though the first thousand rows are short"
    (tmp_path / "chat.jsonl").write_text('{"instruction": "Go!", "output": "Gone."}\n')
    applied(own_tool(annotate=annotate), tmp_path / "chat.jsonl", tmp_path / "out.jsonl", FilterParams)
    assert chosen[-1] == "instruction"


@pytest.mark.parametrize("name", [name for name in table_tools() if CAPABILITIES[name].load().on_table is None])
def test_every_streaming_tool_takes_any_text(name, tmp_path):
    tool = CAPABILITIES[name].load()
    (tmp_path / "bench.jsonl").write_text('{"text": "words of no concern to any of these rows"}\n')
    needed = {"decontaminate": {"against": [str(tmp_path / "bench.jsonl")]}, "language": {"keep": ["en"]}}
    params = CAPABILITIES[name].params(**needed.get(name, {}))
    text = pl.Series("text", [None, "", "a", "\x00", None, "é" * 5000, "one two three", "one two three", "\n\n"])
    table = pl.DataFrame({"text": text, "content": text}).with_columns(empty_answer=pl.lit(None, dtype=pl.Boolean))
    if tool.annotate is not None:
        assert [tool.annotate(part, params).schema for part in (table, table[:1], table[5:6])] == [
            tool.annotate(table, params).schema
        ] * 3
        assert tool.annotate(table, params).height == len(text)
    if tool.removals is not None:
        rows = [row for one in tool.removals(table, params, silent) for row in one.rows.tolist()]
        assert len(set(rows)) == len(rows) <= len(text)


def test_settings_of_a_tool():
    found = read_params(
        FilterParams, ("profile=web", "thresholds={max_words: 9}", "gopher.max_symbol_ratio=0.05", "c4.min_words=null")
    )
    assert found.thresholds == {"max_words": 9, "gopher.max_symbol_ratio": 0.05, "c4.min_words": None}
    assert read_params(FilterParams, ("thresholds.gopher.max_symbol_ratio=1",)).thresholds == {
        "gopher.max_symbol_ratio": 1
    }
    assert read_params(DecontaminateParams, ("against=[a.jsonl, b.jsonl]",)).against == ("a.jsonl", "b.jsonl")
    assert read_params(DecontaminateParams, ("against=a.jsonl",)).against == ("a.jsonl",)
    for settings, said in (
        (("profil=web",), "did you mean 'profile'"),
        (("profile=[",), "not a value"),
        (("profile",), "key=value"),
        (("thresholds=3",), "dictionary"),
        (("gopher.max_symbol_ratio=much",), "number"),
    ):
        with pytest.raises(UsageError, match=said):
            read_params(FilterParams, settings)


GENERATE_AND_CLEAN = """
import contextlib, random, resource, sys
from recryst.agent.cli import main
megabytes, path, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
text = " ".join(random.Random(0).choices(["some", "words", "of", "several", "lengths"], k=4000))
with open(path, "w") as file:
    for number in range(megabytes * 256):
        file.write(f'{{"text": "{number} {text[number % 16000 :][:4000]:4000}"}}\\n')
with contextlib.suppress(SystemExit):
    main(["tool", "clean", path, out])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
"""


def test_memory_does_not_grow_with_the_file(tmp_path):
    peaks = []
    for megabytes in (24, 144):
        done = subprocess.run(
            [sys.executable, "-c", GENERATE_AND_CLEAN, str(megabytes), tmp_path / "in.jsonl", tmp_path / "out.jsonl"],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "POLARS_MAX_THREADS": "2"},
        )
        peaks.append(int(done.stdout))
        assert (tmp_path / "out.jsonl").stat().st_size > megabytes * 10**6
    assert peaks[1] - peaks[0] < 60, "MB more for a file that is 120 MB larger"


def test_so_many_rows_are_selected(here, tmp_path):
    rows = [{"id": f"r{n}", "text": f"t{n}", "mine": [np.cos(n / 9), np.sin(n / 9)], "vector": "x"} for n in range(50)]
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pl.DataFrame(rows).write_parquet(source)
    select = ("tool", "select", source, target, "--vector-column", "mine")
    code, _, told = here(*select, "--set", "strategy=k_center", "--keep", "10%")
    assert code == 0, told
    assert "select: 45" in told
    kept = pl.read_parquet(target)
    assert kept.equals(pl.DataFrame(rows).filter(pl.col("id").is_in(kept["id"])))
    assert kept.height == 5
    for words, said in (
        (["--keep", "51"], "the table has 50 rows"),
        (["--keep", "0%"], "above 0%"),
        (["--set", "strategy=kcenter"], "strategy"),
        (["--set", "strategy=quality"], "a column 'quality'"),
        (["--set", "strategy=nearest"], "--set target=FILE"),
        (["--set", "strategy=nearest", "--set", f"target={tmp_path / 'none.parquet'}"], "none.parquet"),
        (["--set", "strategy=hierarchical", "--set", "levels=[5, 9]"], "must fall"),
        (["--vector-column", "theirs"], "no column 'theirs'"),
    ):
        code, _, told = here(*select, *words)
        assert (code, said in told) == (2 if code == 2 else 3, True), told
