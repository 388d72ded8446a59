"""A whole round by ``derive`` alone: embed, cluster, score, decide, act, measure, and what a person may override."""

import numpy as np
import pytest
from small_view import Round

from recryst.agent.decide.approval import proposal, shown_sha
from recryst.agent.steps.approve import KEEP, UNDO, Approve
from recryst.agent.steps.cycle import EDGES, STEPS, answered, following
from recryst.agent.steps.describe import Embed, _Vectors
from recryst.agent.steps.experiment import Measure
from recryst.agent.steps.quality.score import Quality
from recryst.state.actions import ChangeK, Deduplicate, Prune, Refilter, Stop
from recryst.state.decision import Answer
from recryst.state.errors import IntegrityError, UsageError


@pytest.fixture
def run(tmp_path):
    return Round(tmp_path)


@pytest.fixture
def decided(run):
    """A round in which the one of two equal rows is to go."""
    return run.choosing(run.described(run.held_out()), Deduplicate(cosine=0.9999, which_to_keep="furthest"))


def test_a_round_begins_with_vectors_for_every_row_that_has_none(run):
    view = run.embedded(run.held_out())
    event = view.events[-1]
    assert (view.state.round, event.rows, event.embedded) == (1, 72, 72)
    assert np.array_equal(view.array("pool"), view.kept())
    assert np.array_equal(view.array("anchor_vectors"), run.vectors[view.anchor()])
    with pytest.raises(IntegrityError, match="without a vector"):
        run.step(run.held_out(), Embed(), _Vectors(None, None, 0, 0))


def test_a_clustering_in_force_is_used_again_and_so_are_its_verdicts(run, decided):
    again = run.described(decided)
    reused = [event.reused for event in again.events if event.type in ("cluster", "critique", "reduce")]
    assert reused == [False, False, False, True, True, True]
    assert again.values.state_key == decided.values.state_key
    assert sum(event.type == "baseline" for event in again.events) == 1


def test_the_decision_rests_on_what_is_logged(decided):
    event = decided.events[-1]
    assert event.facts.alike == 1  # rows 0 and 1 have one vector, if both are in training
    assert event.facts.state_key == decided.values.state_key
    assert decided.decision.candidate in {one.id for one in event.candidates if one.available}
    assert {one.action for one in event.candidates if one.available} >= {Stop()}
    measured = {one.action: one.verdict for one in decided.events[-2].appraisals}
    [same] = [one for one in event.candidates if isinstance(one.action, Deduplicate)]
    assert same.appraisal == measured[same.action.key]
    assert same.evidence["needed"] == same.appraisal.needed > 0


def test_an_action_works_on_a_copy_until_it_was_measured(run, decided):
    acted = run.acted(decided)
    assert len(acted.kept("trial_ledger")) == len(acted.kept()) - 1
    assert acted.ref("ledger") == decided.ref("ledger")
    assert acted.events[-1].effects[0].rows == 1
    kept = run.measured(acted, met=1.0)
    assert (kept.events[-1].outcome, len(kept.kept())) == ("kept", len(decided.kept()) - 1)
    assert kept.ref("ledger") == acted.ref("trial_ledger")
    assert kept.values.trial is None
    assert not kept.has("trial_ledger")


def test_tables_that_are_evidence_and_in_force_are_stored_once(run, decided, monkeypatch):
    stored, put = [], run.put
    monkeypatch.setattr(run, "put", lambda role, content: stored.append(role) or put(role, content))
    kept = run.measured(run.acted(decided), met=1.0)
    evidence = kept.events[-1].evidence
    assert set(evidence) >= {"assignments", "centroids", "scores"}
    assert all(kept.ref(role) == ref for role, ref in evidence.items())
    assert [stored.count(role) for role in evidence] == [1] * len(evidence)


def test_what_does_not_pay_changes_nothing_but_the_log(run, decided):
    back = run.measured(run.acted(decided), met=0.0)
    event = back.events[-1]
    assert (event.outcome, event.record.outcome) == ("rolled_back", "rolled_back")
    assert dict(back.state.artefacts) == dict(decided.state.artefacts)
    assert back.values.state_key == decided.values.state_key
    assert back.values.objective == decided.values.objective
    assert set(event.evidence) >= {"assignments", "centroids", "scores"}


def approval(view, answer="approve"):
    """A person's answer to what is proposed."""
    return Answer(shown_sha=shown_sha(proposal(view)), interrupt_id=f"i{view.seq}", answer=answer)


@pytest.fixture
def brought_back(tmp_path):
    """A run whose trial lets 9 rows back in that a quality rule had removed, with their vectors."""
    strict = {"profile": "short", "thresholds": {"basic.min_words": 12}}
    run = Round(tmp_path, short=range(0, 90, 10), filter=strict, approve=True)
    begun = run.described(run.held_out())
    assert len(begun.array("pool")) == len(begun.kept()) < 72
    laxer = Refilter(thresholds={"basic.min_words": 5})
    return run, begun, run.acted(run.choosing(begun, laxer))


POOL = ("pool", "vectors", "neighbor_indices", "neighbor_similarities", "density")


def test_rows_that_came_back_in_vain_leave_the_pool_again(brought_back):
    run, begun, acted = brought_back
    assert acted.events[-1].embedded == len(acted.array("pool")) - len(begun.array("pool")) > 0
    assert all(acted.ref(role) != begun.ref(role) for role in POOL)
    back = run.measured(acted, met=0.0)
    assert back.events[-1].outcome == "rolled_back"
    assert [back.ref(role) for role in POOL] == [begun.ref(role) for role in POOL]
    again = run.described(back)
    kept = run.step(run.step(again, Approve(), approval(again, "keep")), KEEP)
    assert [kept.ref(role) for role in POOL] == [acted.ref(role) for role in POOL]
    assert np.isin(kept.kept(), kept.array("pool")).all()
    undone = run.step(kept, UNDO)
    assert [undone.ref(role) for role in POOL] == [begun.ref(role) for role in POOL]


@pytest.mark.parametrize(
    ("caps", "why"), [({}, "below the floor of 50%"), ({"total_fraction": 0.9}, "more than its cap of 35%")]
)
def test_what_passes_a_cap_is_refused_whole(tmp_path, caps, why):
    run = Round(tmp_path, caps=caps)
    decided = run.described(run.held_out())
    view = run.acted(run.choosing(decided, Prune(clusters=(0, 1), strategy="drop", keep_fraction=0.0)))
    assert why in view.trial.refused
    assert view.events[-1].outcome == "refused"
    assert view.ledger("trial_ledger").equals(view.ledger())
    ended = run.step(view, Measure())
    assert (ended.events[-1].outcome, ended.events[-1].record.after) == ("refused", None)
    assert dict(ended.state.artefacts) == dict(decided.state.artefacts)


def test_another_k_moves_no_row(run, decided):
    view = run.acted(run.choosing(decided, ChangeK(algorithm="kmeans", k=2)))
    assert view.ledger("trial_ledger").equals(view.ledger())
    assert (view.trial.clustering.k, view.trial.clustering.algorithm) == (2, "kmeans")
    assert run.measured(view).events[-1].clustering.k == 2


def test_a_person_overrides_and_takes_back(tmp_path):
    run = Round(tmp_path, approve=True)
    begun = run.choosing(run.described(run.held_out()), Deduplicate(cosine=0.9999, which_to_keep="furthest"))
    assert isinstance(following(begun), Approve)
    answer = approval(begun)
    approved = run.step(begun, Approve(), answer)
    assert (approved.events[-1].actor, answered(approved)) == ("human", "act")
    with pytest.raises(UsageError, match="no longer what is proposed"):
        run.step(begun, Approve(), answer.model_copy(update={"shown_sha": "0" * 64}))
    with pytest.raises(IntegrityError, match="nobody was asked"):
        run.step(begun, Approve(), answer.model_copy(update={"interrupt_id": ""}))
    back = run.measured(run.acted(approved), met=0.0)
    assert back.values.offer
    again = run.described(back)
    keeping = run.step(again, Approve(), approval(again, "keep"))
    assert (answered(keeping), following(keeping) is KEEP) == ("keep", True)
    kept = run.step(keeping, KEEP)
    assert len(kept.kept()) == len(begun.kept()) - 1
    assert (kept.values.offer, kept.objective) == (False, back.events[-1].record.after)
    undone = run.step(kept, UNDO)
    assert len(undone.kept()) == len(begun.kept())
    assert undone.values.objective == begun.values.objective
    with pytest.raises(UsageError, match="nothing to undo"):
        run.step(undone, UNDO)


def test_the_steps_follow_each_other_as_the_table_says(run, decided):
    assert set(EDGES) | {"approve"} == set(STEPS)
    assert following(run.begun()).name == "load"
    assert following(run.held_out()).name == "embed"  # nothing to learn a quality score from, and then cluster
    assert not Quality().due(decided)
    assert following(decided).name == "act"
    assert following(run.acted(decided)).name == "measure"
    stopping = run.put_values(decided, stop_reason="enough")
    assert following(stopping).name == "review"


def test_a_value_that_is_taken_back_is_in_the_patch(run, decided):
    measured = run.measured(run.acted(decided)).events[-1]
    assert "trial" in measured.state.values.model_fields_set
    assert measured.body()["state"]["values"]["trial"] is None
