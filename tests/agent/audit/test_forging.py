"""Forging by enumeration: every leaf of every form of event, every artefact, event, curated column and page is changed.

Each change must be found, and its place named, but for what is taken as logged. ``docs/audit.md`` tells why that cannot
be derived; the test prints what of it was met.
"""

import re
from collections import Counter
from dataclasses import replace
from fnmatch import fnmatchcase

import numpy as np
import orjson
import polars as pl
import pytest
from forger import at as event_of
from forger import copied, dotted, forged, pattern, plain

from recryst.agent.audit import audit, compare, files
from recryst.agent.view import View
from recryst.state.canonical import sha256_file
from recryst.state.events import EVENT

#: What is taken as logged: type of the event, and leaf or artefact, as patterns.
TAKEN = {
    ("*", "ts"): "the clock",
    ("*", "seconds"): "the clock",
    ("start", "run_id"): "a name; it must be the same in all events",
    ("start", "code.*"): "the program that ran",
    ("resume", "code.*"): "the program that ran",
    ("resume", "torn_bytes"): "of a line that is gone",
    ("error", "error"): "a sentence of a process that stopped",
    ("*", "llm.[*].attempts"): "requests that a server may have been sent in vain",
    ("load", "input_sha256"): "the input is not in the run",
    ("load", "state.values.notes"): "what was noticed in reading",
    ("load", "content seeds"): "a file beside the input, as it was read",
    ("load", "content taxonomy"): "a file beside the input, as it was read",
    ("load", "content answer_file"): "a file beside the input, as it was read",
    ("language", "content languages"): "a model's word",
    ("embed", "content *"): "a model's vectors, and which are neighbours",
    ("embed", "embedded"): "how many vectors were made",
    ("embed", "cached"): "how many vectors were known",
    ("embed", "runtime"): "what computed the vectors",
    ("embed", "windows*"): "in how many windows texts were read",
    ("embed", "estimate*"): "what a model was to cost, by the prices of the day",
    ("cluster", "content *"): "a clustering",
    ("reduce", "content maps"): "a map",
    ("reduce", "landmarks"): "of a map",
    ("reduce", "trustworthiness*"): "of a map",
    ("draw", "content maps"): "a map",
    ("draw", "landmarks"): "of a map",
    ("draw", "trustworthiness*"): "of a map",
    ("decide", "content looked_labels"): "a clustering that a language model looked at",
    ("decide", "content rotated_confirmed"): "which kept rows the others bear out, when held out in turn",
    ("act", "embedded"): "how many vectors were made",
    ("act", "content *"): "a model's vectors, which are neighbours, and where texts land that a model wrote",
    ("measure", "content *"): "the clustering of a trial",
    ("baseline", "content anchor_evidence"): "how far models of the training rows bear out a held-out one",
    ("evidence", "content evidence"): "what models of the other rows say of a row",
    ("judge_held_out", "content anchor_evidence"): "the same of a held-out row",
    ("select", "content selection_scores"): "what the probes make of a held-out row that does not count",
    ("open_sealed", "content *"): "a model's vectors, and how far models bear out a sealed row",
    ("open_sealed", "embedded"): "how many vectors were made",
    ("open_sealed", "cached"): "how many vectors were known",
    ("approve", "answer.*"): "what a person answered, where it is of no consequence",
    ("train", "tokens"): "how many tokens a model was trained on",
    ("train", "epochs"): "how many times it passed over the text",
    ("train", "vocabulary"): "of a tokenizer that was trained",
    ("train", "losses*"): "a training's result",
    ("train", "state.values.models.*"): "figures of a model; not its size, nor the final one",
    ("quantise", "state.values.models.*"): "figures of a model; not its size, nor the final one",
    ("publish", "peak_memory_mb"): "the memory that a process took",
}


def taken(kind, what):
    return next((key for key in TAKEN if fnmatchcase(kind, key[0]) and fnmatchcase(what, key[1])), None)


def test_every_leaf_of_every_form_of_event_changed_is_found_at_its_place(forger, capsys):
    met, unfound, elsewhere, tried = Counter(), [], [], 0
    for number, event in enumerate(forger.events):
        place = f"line {number + 1} ({event.type})"
        assert forger.found(number, event) == []
        for path, changed in forger.changes(number):
            tried += 1
            found = forger.found(number, changed)
            if not found and (key := taken(event.type, pattern(path))):
                met[key] += 1
            elif not found and not forger.found_later(number, changed):
                unfound.append(f"{place}: {dotted(path)}")
            elif found and not any(place in one for one in found):
                elsewhere.append(f"{place}: {dotted(path)}: {found[0]}")
    with capsys.disabled():
        print(f"\n{tried:,} changes in {len(forger.events)} events; taken as logged:")
        for (kind, what), times in sorted(met.items()):
            print(f"  {kind} {what}: {TAKEN[kind, what]} ({times})")
    assert unfound == []
    assert elsewhere == []


def test_every_artefact_replaced_or_changed_is_found(forger):
    met, unfound = Counter(), []
    for number, event in enumerate(forger.events):
        for (role, what), changed in forger.contents(number):
            if not forger.found(number, changed):
                if key := taken(event.type, f"content {role}"):
                    met[key] += 1
                else:
                    unfound.append(f"line {number + 1} ({event.type}): {role}: {what}")
    assert unfound == []
    assert met


@pytest.mark.parametrize("how", ["swapped", "dropped", "doubled"])
def test_an_event_that_is_moved_is_found(how, forger):
    events = forger.events
    notes = {number for number, event in enumerate(events) if event.state is None and number}
    for at in range(len(events) - 1):
        if how == "dropped" and at in notes - {number for number in notes if events[number].type == "resume"}:
            continue  # that a process failed, or what was said, leaves no trace in what follows
        if how == "doubled" and events[at].type in ("error", "resume"):
            continue  # that may happen twice
        match how:
            case "swapped":
                told = [*events[:at], events[at + 1], events[at], *events[at + 2 :]]
            case "dropped":
                told = [*events[:at], *events[at + 1 :]]
            case _:
                told = [*events[: at + 1], *events[at:]]
        assert forger.story_found(told, at), f"{how}: line {at + 1} ({events[at].type})"


def test_every_column_of_the_curated_and_removed_files_changed_is_found(storied, tmp_path):
    root = copied(storied, tmp_path / "run")
    view = View.open(root)
    number = next(number for number, event in enumerate(view.events) if event.type == "export")
    poisoned = {}
    for path in sorted([*view.run.curated.rglob("*.parquet"), *view.run.removed.rglob("*.parquet")]):
        frame = pl.read_parquet(path, hive_partitioning=False)
        others = {f"column '{column}', row 0": _poisoned(frame, column) for column in frame.columns}
        others |= {"rows, not": frame[:-1], "is in one of them": frame.drop(frame.columns[0])}
        poisoned[path] = list(others.items())
    whole = {path: path.read_bytes() for path in poisoned}
    for at in range(max(map(len, poisoned.values()))):  # one change of every file at a time: each is compared alone
        sentences = {path: others[at][0] for path, others in poisoned.items() if at < len(others)}
        for path in sentences:
            poisoned[path][at][1].write_parquet(path)
        found = list(compare.Replay(_exported(view, number), view.source).failures(number))
        for path, sentence in sentences.items():
            assert any(f"{path} " in one and sentence in one for one in found), (path, sentence, found)
            path.write_bytes(whole[path])
    (view.run.curated / "more.parquet").write_bytes(whole[path])
    found = list(compare.Replay(_exported(view, number), view.source).failures(number))
    assert any("more.parquet follows from nothing" in one for one in found)


def _poisoned(frame, column):
    values = frame[column].to_list()
    match values[0]:
        case bool():
            values[0] = not values[0]
        case int() | float():
            values[0] += 1
        case list():
            values[0] = [*values[0], "x"]
        case None:
            values[0] = 1 if frame[column].dtype.is_numeric() else ["x"] if frame[column].dtype == pl.List else "x"
        case text:
            values[0] = f"{text}x"
    return frame.with_columns(pl.Series(column, values, dtype=frame[column].dtype))


def _exported(view, number):
    """The run with an export event that has the hashes of the exported files as they lie there."""
    body = plain(view.events[number].body())
    body["effects"] = [
        {"kind": f"file:{path.relative_to(view.run.root)}", "after_sha": sha256_file(path)}
        for path in sorted([*view.run.curated.rglob("*"), *view.run.removed.rglob("*")])
        if path.is_file()
    ]
    return replace(view, events=(*view.events[:number], EVENT.validate_python(body)))


def test_every_number_on_the_card_and_every_line_of_the_report_is_compared(storied):
    card = (storied / "README.md").read_text()
    for found in re.finditer(r"\d+", card):
        other = f"{card[: found.start()]}{int(found[0]) + 1}{card[found.end() :]}"
        assert files.unlike_lines(other, card)
    lines = files.page_content((storied / "report.html").read_text()).splitlines()
    for at, line in enumerate(lines):
        if number := re.search(r"\d", line):
            other = [*lines[:at], f"{line[: number.end()]}7{line[number.end() :]}", *lines[at + 1 :]]
            assert files.unlike_lines("\n".join(other), "\n".join(lines)).startswith(f"line {at + 1} ")


@pytest.mark.parametrize("page", ["README.md", "report.html", "model/README.md"])
def test_another_number_on_a_page_is_found(page, storied, tmp_path):
    root = copied(storied, tmp_path / "run")
    text = (root / page).read_text()
    kept = re.search(r"(\d+)(?=[^\d]*kept)", text)
    (root / page).write_text(f"{text[: kept.start()]}{int(kept[0]) + 1}{text[kept.end() :]}")
    log = (root / "events.jsonl").read_bytes().splitlines(keepends=True)
    body = plain(EVENT.validate_python(orjson.loads(log[-1])).body())
    for effect in body["effects"]:
        effect["after_sha"] = sha256_file(root / effect["kind"].removeprefix("file:"))
    event = EVENT.validate_python(body).sealed()
    log[-1] = orjson.dumps(event.body() | {"hash": event.hash}, option=orjson.OPT_SORT_KEYS) + b"\n"
    (root / "events.jsonl").write_bytes(b"".join(log))
    assert any(page in one and "does not follow from the run" in one for one in audit(root).failures)


def test_a_run_sealed_anew_without_a_change_passes(storied, tmp_path):
    assert forged(copied(storied, tmp_path / "run"), lambda bodies, store: None) == []


def _accused(bodies, store):
    """A row that the others bear out is said not to be, wherever that evidence is named."""
    ref = event_of(bodies, "evidence")["state"]["artefacts"]["evidence"]
    frame = store.frame(ref)
    support = frame["label_support"].to_list()
    support[frame["label_support"].arg_max()] = 0.0
    _renamed(bodies, ref, store.put_frame(frame.with_columns(label_support=pl.Series(support, dtype=pl.Float32))))


def _confirmed(bodies, store):
    """A held-out row that the training rows do not bear out is said to count."""
    ref = event_of(bodies, "baseline")["state"]["artefacts"]["anchor_evidence"]
    frame = store.frame(ref)
    doubtful = frame["label_support"].arg_min()
    support, counts = frame["label_support"].to_list(), frame["confirmed"].to_list()
    support[doubtful], counts[doubtful] = 1.0, True
    other = frame.with_columns(
        label_support=pl.Series(support, dtype=frame["label_support"].dtype), confirmed=pl.Series(counts)
    )
    _renamed(bodies, ref, store.put_frame(other))


def _better_scores(bodies, store):
    """The held-out rows are said to be scored better by every probe once the first action was carried out."""
    ref = event_of(bodies, "decide")["evidence"]["trial_scores"]
    scores = np.array(store.array(ref))
    scores[0] = 1.0
    _renamed(bodies, ref, store.put_array(scores))


def _better_trial(bodies, store):
    """The same of the trial that was measured."""
    ref = event_of(bodies, "measure")["evidence"]["anchor_scores"]
    _renamed(bodies, ref, store.put_array(np.ones_like(store.array(ref))))


def _renamed(bodies, ref, other):
    bodies[:] = orjson.loads(orjson.dumps(bodies).replace(ref.encode(), other.encode()))


def _better_choice(bodies, store):
    """The last choice of rows that was measured, the random one, is said to be scored best."""
    ref = event_of(bodies, "select")["evidence"]["selection_scores"]
    scores = np.array(store.array(ref))
    scores[-1] = 1.0
    _renamed(bodies, ref, store.put_array(scores))


def _fewer_in_doubt(bodies, store):
    """Fewer of the rows that are left are said to be in doubt than the evidence says."""
    event_of(bodies, "select")["selected"]["in_doubt_before"] -= 1


def _better_headline(bodies, store):
    """The sealed rows are said to be scored better by every probe after the rounds."""
    ref = event_of(bodies, "open_sealed")["state"]["artefacts"]["sealed_scores"]
    scores = np.array(store.array(ref))
    scores[1] = 1.0
    _renamed(bodies, ref, store.put_array(scores))


def _other_sealed(bodies, store):
    """Another set is said to have been sealed."""
    for kind in ("hold_out", "open_sealed"):
        event_of(bodies, kind)["sealed_sha256"] = "0" * 64


@pytest.mark.parametrize(
    ("story", "place"),
    [
        (_accused, "(decide): "),
        (_confirmed, "(baseline): state.values.objective"),
        (_better_scores, "(decide): "),
        (_better_trial, "(measure): record"),
        (_better_choice, "(select): "),
        (_fewer_in_doubt, "(select): selected.in_doubt_before"),
        (_better_headline, "(open_sealed): state.values.headline"),
        (_other_sealed, "(hold_out): sealed_sha256"),
    ],
)
def test_what_rests_on_a_measurement_follows_from_it(story, place, storied, tmp_path):
    failures = forged(copied(storied, tmp_path / "run"), story)
    assert any(place in failure for failure in failures), failures
