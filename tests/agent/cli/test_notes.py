"""A folder of clippings through the command line: what is merged, what is written, and what the audit finds."""

import json
import shutil

import polars as pl
import pytest
import yaml
from commands import SHORT

from recryst.agent.account.explain import explain
from recryst.agent.view import View

ARTICLE = (
    "The harbour was dredged for the first time since the war, and what came up with the mud was put on show in the "
    "old customs house. Fishermen had warned the council that the channel would silt up again within a decade unless "
    "the breakwater was lengthened. Nobody listened until a ferry ran aground in calm water on a summer evening. "
    "Divers brought up anchors, a brass bell and two crates of unopened bottles, none of which the museum had asked "
    "for. The mayor promised a decision by the autumn and asked for patience."
)
WHOLE = f"---\ntitle: Harbour\ntags: [sea]\nsource: https://x.example/harbour\n---\n\n{ARTICLE}\n"
PAGE = (
    '<html><head><title>Harbour | Site</title><link rel="canonical" href="https://y.example/h"></head><body><nav>'
    f"<a href=/>Home</a></nav><article><p>{ARTICLE}</p></article><footer>All rights reserved</footer></body></html>"
)
QUICK = [*SHORT, "--set", "cluster.k=3", "--set", "score.bootstraps=2", "--set", "probe.seeds=2"]


@pytest.fixture(scope="module")
def vault(tmp_path_factory, docstrings):
    """45 notes, four clippings of one article, two that are the same, and files that are none."""
    folder = tmp_path_factory.mktemp("vault") / "clips"
    (folder / "old").mkdir(parents=True)
    lines = (json.loads(line) for line in docstrings.read_text().splitlines()[:200] if line.startswith('{"id"'))
    texts = [row["text"] for row in lines if len(row["text"].split()) > 12][:45]
    for at, text in enumerate(texts):
        (folder / f"note {at}.txt").write_text(text)
    (folder / "../escape.md").write_text("outside")
    (folder / "harbour.md").write_text(WHOLE)
    (folder / "old" / "cut.md").write_text("---\ntags: [later]\n---\n" + " ".join(ARTICLE.split()[20:75]))
    (folder / "old" / "copy.md").write_text(WHOLE)
    (folder / "page.html").write_text(PAGE)
    (folder / "same title.md").write_text("---\ntitle: Harbour\n---\nBread wants time, a warm place and little else.")
    (folder / "latin.md").write_bytes("caf\xe9".encode("latin-1"))
    (folder / "empty.md").write_text("")
    return folder


@pytest.fixture(scope="module")
def finished(vault, recryst):
    ended = recryst("run", vault, "--profile", "notes", "--out", vault.parent / "run", *QUICK)
    assert ended.returncode == 0, ended.stderr
    return vault.parent / "run", ended


def written(root):
    found = {}
    for path in (root / "notes").glob("*/*.md"):
        _, front, text = path.read_text().split("---\n", 2)
        found[path.relative_to(root / "notes").as_posix()] = (yaml.safe_load(front), text)
    return found


def test_clippings_are_merged_and_their_sources_kept(finished):
    root, ended = finished
    found = written(root)
    kept = pl.concat([pl.read_parquet(path, columns=["recryst_id"]) for path in (root / "curated").glob("*.parquet")])
    assert {one["id"] for one, _ in found.values()} == {*kept["recryst_id"]}, "anchor rows are notes as well"
    [(front, text)] = [note for note in found.values() if len(note[0]["sources"]) > 1]
    assert front["sources"][0] == front["id"] == "harbour.md"
    assert {*front["sources"]} == {"harbour.md", "old/copy.md", "old/cut.md", "page.html"}
    assert {*front["origins"]} == {"https://x.example/harbour", "https://y.example/h"}
    assert (front["title"], front["tags"], text.strip()) == ("Harbour", ["sea", "later"], ARTICLE)
    assert "Harbour.md" in {name.split("/")[1] for name in found}
    assert sum(one["title"] == "Harbour" for one, _ in found.values()) == 2
    said = " ".join(ended.stderr.split())
    assert "2 notes merged into 1 more complete, which name their sources: the profile notes, which was asked" in said
    assert "2 broken lines quarantined" in said
    assert "notes " in ended.stdout


def test_no_row_is_deleted_and_the_log_says_why_each_went(finished):
    view = View.open(finished[0])
    ledger = view.ledger().filter(status="removed").sort("id")
    assert ledger.select("id", "stage", "reason", "duplicate_of").rows() == [
        ("old/copy.md", "clean", "exact_duplicate", "harbour.md"),
        ("old/cut.md", "dedup", "merged", "harbour.md"),
        ("page.html", "dedup", "merged", "harbour.md"),
    ]
    assert (ledger["threshold"].to_list(), ledger["score"].min() >= 0.8) == ([1.0, 0.8, 0.8], True)
    [event] = [event for event in view.events if event.type == "dedup"]
    assert (event.by_reason, event.reasons[0].split(":")[0]) == (
        {"merged": 2},
        "2 notes merged into 1 more complete, which name their sources",
    )
    assert "it was merged into another note" in str(explain(view, "old/cut.md"))


def test_the_audit_makes_the_notes_again(finished, here, tmp_path):
    root = shutil.copytree(finished[0], tmp_path / "run")
    assert here("audit", root)[0] == 0
    [changed] = [root / "notes" / name for name, (front, _) in written(root).items() if front["id"] == "harbour.md"]
    changed.write_text(changed.read_text().replace("patience", "money"))
    code, out, err = here("audit", root)
    assert code == 6
    assert f"{changed} was changed" in out + err


def test_what_a_person_puts_beside_the_notes_is_theirs(finished, here, tmp_path):
    root = shutil.copytree(finished[0], tmp_path / "run")
    (root / "notes" / ".obsidian").mkdir()
    (root / "notes" / ".obsidian" / "app.json").write_text("{}")
    (root / "notes" / "mine.md").write_text("put there")
    assert here("audit", root)[0] == 0


def test_of_a_table_every_content_column_counts(recryst, tmp_path):
    """The profile merges documents; rows of a table that differ in their answer stay."""
    rows = [{"text": f"question {at // 5} of the survey, as it was asked", "answer": f"reply {at}"} for at in range(60)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ended = recryst("run", tmp_path / "rows.jsonl", "--profile", "notes", "--out", tmp_path / "run", *QUICK)
    assert ended.returncode == 0, ended.stderr
    assert "merged" not in set(View.open(tmp_path / "run").ledger()["reason"])
    assert not (tmp_path / "run" / "notes").exists()


def test_rules_for_near_duplicates_are_refused_beside_the_profile(vault, recryst):
    ended = recryst("run", vault, "--profile", "notes", "--set", "dedup.which_to_keep=longest")
    assert ended.returncode == 2
    assert "dedup.which_to_keep" in ended.stderr
    assert "the most complete one stays" in ended.stderr
