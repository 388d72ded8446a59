"""The tools as commands: each works alone on a table, and one feeds the next."""

import json

import polars as pl
import pytest

from recryst.tools.registry import NAMES, tool


def test_a_table_through_one_tool_after_the_other(recryst, docstrings, tmp_path):
    def call(name, source, target=None, *settings):
        done = recryst("tool", name, source, *([target] if target else []), *settings)
        assert done.returncode == 0, done.stderr
        assert ("taken out" in done.stderr) == (name in ("clean", "filter", "dedup")), done.stderr
        return json.loads(done.stdout) if target is None else pl.read_parquet(target)

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


@pytest.mark.parametrize("name", NAMES)
def test_every_registered_tool_is_described(name):
    found = tool(name)
    assert found.name == name
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
        (["dedup", docstrings, tmp_path / "x.parquet", "--set", "treshold=0.7"], "the keys are threshold"),
        (["dedup", docstrings], "give it an OUT file"),
        (["dedup", docstrings, tmp_path / "x.csv"], ".parquet or .jsonl"),
        (["cluster", docstrings, tmp_path / "x.parquet"], "no column 'vector'"),
        (["dedup", docstrings, tmp_path / "nowhere" / "x.parquet"], "nowhere"),
        (["dedup", docstrings, tmp_path / "x.parquet", "--set", "threshold=["], "not a value"),
        (["dedup", broken, tmp_path / "x.parquet"], "cannot be read as Parquet"),
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
