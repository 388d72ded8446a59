"""Which rows are listed for a person: those that evidence speaks against and that stand, and nobody else's."""

import csv

import polars as pl
import pytest
from small_view import Round, ignored

from recryst.agent.audit.files import outside
from recryst.agent.decide.review import in_doubt, listed
from recryst.agent.steps.rows.review import Review
from recryst.state.actions import RemoveSuspects
from recryst.tools.write.figures import review_in_words


@pytest.fixture
def run(tmp_path):
    return Round(tmp_path)


@pytest.fixture
def begun(run):
    """Rows whose evidence is clear, whatever stands in it."""
    view = run.described(run.held_out())
    return run.holding(view, evidence=clear(view))


def clear(view, **columns):
    """Evidence on the kept rows: label_support 0.9 and the given values by row."""
    frame = pl.DataFrame({"row": view.kept()}).with_columns(label_support=pl.lit(0.9, dtype=pl.Float32))
    kinds = {"label_support": (0.9, pl.Float32), "other_label": (None, pl.String)}
    for name, given in columns.items():
        default, kind = kinds.get(name, (None, pl.Float32))
        values = [given.get(int(row), default) for row in view.kept()]
        frame = frame.with_columns(pl.Series(name, values, dtype=kind))
    return frame


def why(view):
    """Row → why it is in doubt."""
    return dict(in_doubt(view).select("row", "why").iter_rows())


def test_only_rows_past_a_limit_that_stand_and_of_which_nobody_has_spoken_are_in_doubt(run, begun):
    a, b, c, d = (int(row) for row in begun.kept()[[3, 9, 20, 30]])
    view = run.holding(begun, evidence=clear(begun, label_support={a: 0.01, b: 0.019, c: 0.021, d: 0.0}))
    assert why(begun) == {}
    assert why(view) == {a: "label", b: "label", d: "label"}
    said = pl.DataFrame({"row": [a], "answer": ["keep"], "label": [None]}, schema_overrides={"row": pl.UInt32})
    assert why(run.holding(view, answers=said.cast({"label": pl.String}))) == {b: "label", d: "label"}
    acted = run.acted(run.choosing(view, RemoveSuspects(by="label_support", threshold=0.005)))
    assert why(run.measured(acted, met=1.0)) == {a: "label", b: "label"}


def test_a_row_of_a_small_class_is_asked_about_although_no_action_may_doubt_it(run, begun):
    row = int(begun.kept()[3])
    figures = {"own_probability": {row: 0.01}, "own_vote": {row: 0.0}, "agreement": {row: 0.8}}
    view = run.holding(begun, evidence=clear(begun, label_support={row: 1.0}, **figures))
    assert why(view) == {}, "its class is large"
    labels = view.frame("rows").with_columns(
        label=pl.Series([("rare" if at == row else label) for at, label in enumerate(view.labels())])
    )
    assert why(run.holding(view, rows=labels)) == {row: "small_class"}


def test_a_new_label_of_a_small_class_is_asked_about_with_both_labels(run, begun):
    row = int(begun.kept()[3])
    other = next(name for name in ("g0", "g1", "g2") if name != begun.labels()[row])
    rows = begun.frame("rows").with_columns(
        label=pl.Series([("rare" if at == row else label) for at, label in enumerate(begun.labels())])
    )
    changed = pl.DataFrame({"row": [row], "label": [other]}, schema_overrides={"row": pl.UInt32})
    view = run.holding(begun, rows=rows, relabelled=changed)
    assert why(view) == {row: "relabelled"}
    [one] = listed(view, in_doubt(view))
    assert (one.label, one.suggested) == ("rare", other)
    large = run.holding(begun, relabelled=changed)
    assert why(large) == {}


def test_doubtful_answers_and_texts_are_listed_for_their_fault(run, begun):
    a, b = (int(row) for row in begun.kept()[[3, 9]])
    frame = clear(begun, pair_doubt={a: 1.0, b: 3.0}).drop("label_support")
    faults = pl.Series([{a: "broken_off"}.get(int(row)) for row in begun.kept()], dtype=pl.String)
    pairs = run.holding(begun, evidence=frame.with_columns(fault=faults))
    assert why(pairs) == {a: "pair", b: "pair"}
    assert in_doubt(pairs)["row"][0] == b, "the surest comes first"
    words = {one.id: one.words for one in listed(pairs, in_doubt(pairs))}
    assert words[f"r{a}"] == "its answer breaks off"
    texts = run.holding(begun, evidence=clear(begun, surprise={a: 5.9, b: 6.1}).drop("label_support"))
    assert why(texts) == {b: "text"}


def test_rows_stand_for_a_cluster_that_the_critic_calls_junk(run, begun):
    critiques = begun.json("critiques")
    critiques[1] |= {"verdict": "drop", "reasons": ["all of it is noise"]}
    from recryst.agent.steps.base import Plain

    view = run.holding(begun, critiques=Plain(critiques))
    cluster = begun.report().clusters[1]
    found = listed(view, in_doubt(view))
    assert {one.id for one in found} <= {f"r{row}" for row in (cluster.medoid, *cluster.boundary)}
    assert 1 <= len(found) <= 2
    assert {one.words for one in found} == {"it stands for a cluster that may be junk: all of it is noise"}
    assert {one.cluster for one in found} == {cluster.cluster}


def test_held_out_rows_are_in_doubt_too(run, begun):
    anchor = begun.anchor()
    support = [0.01 if at == 2 else 0.9 for at in range(len(anchor))]
    frame = pl.DataFrame({"row": anchor, "label_support": support, "confirmed": [True] * len(anchor)})
    view = run.holding(begun, anchor_evidence=frame)
    assert why(view) == {int(anchor[2]): "label"}
    assert in_doubt(view)["cluster"].to_list() == [None]


def test_the_most_clearly_wrong_row_of_every_cluster_comes_first(run, begun):
    assigned = dict(begun.frame("assignments").select("row", "cluster").iter_rows())
    by_cluster = [[row for row in begun.kept().tolist() if assigned[row] == cluster][:3] for cluster in range(3)]
    rows = [row for members in by_cluster for row in members]
    figures = {
        "label_support": dict.fromkeys(rows, 0.01),
        "own_probability": dict.fromkeys(rows, 0.01),
        "other_probability": {row: 0.5 + 0.01 * at for at, row in enumerate(rows)},
    }
    found = in_doubt(run.holding(begun, evidence=clear(begun, **figures)))
    assert {assigned[row] for row in found["row"][:3]} == {0, 1, 2}
    assert set(found["row"][:3]) == {members[-1] for members in by_cluster}


# The step -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def doubted(run, begun):
    return run.holding(begun, evidence=clear(begun, label_support={int(row): 0.01 for row in begun.kept()[:9]}))


def reviewed(run, view):
    return run.step(view, Review(), Review().measure(None, view, ignored))


def test_the_list_is_written_with_as_many_rows_as_a_person_has_time_for(run, doubted):
    run.config = run.config.model_copy(update={"review": run.config.review.model_copy(update={"max_rows": 4})})
    view = run.holding(doubted)
    after = reviewed(run, view)
    with view.run.review.open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    event = after.events[-1]
    assert (event.rows, event.listed, event.by) == (9, 4, {"label": 9})
    assert [effect.kind for effect in event.effects] == ["file:review.csv"]
    assert [line["id"] for line in lines] == [f"r{row}" for row in in_doubt(view)["row"][:4]]
    assert list(outside(view, after, event)) == []
    view.run.review.write_text(view.run.review.read_text() + "more\n")
    assert list(outside(view, after, event)) == [f"{view.run.review} does not follow from the rows in doubt"]


def test_where_nothing_is_in_doubt_nothing_is_written(run, begun):
    after = reviewed(run, begun)
    assert (after.events[-1].rows, after.events[-1].effects) == (0, ())
    assert not begun.run.review.exists()
    assert list(outside(begun, after, after.events[-1])) == []


def test_the_sentence_says_how_many_and_where(run, doubted):
    from recryst.agent.decide.review import summed

    found = summed(reviewed(run, doubted))
    assert review_in_words(found).startswith("9 rows are in doubt: review.csv; ")
    fewer = found.model_copy(update={"rows": 1234})
    assert review_in_words(fewer).startswith("1,234 rows are in doubt: the 9 most telling stand in review.csv; ")
    assert review_in_words(found.model_copy(update={"rows": 1, "listed": ()})) == "1 row is in doubt"
