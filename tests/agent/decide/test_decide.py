"""Deciding, judging and stopping: pure functions with known answers."""

from hypothesis import given
from hypothesis import strategies as st

from recryst.agent.decide.candidates import build_candidates
from recryst.agent.decide.critique.rules_critic import critique
from recryst.agent.decide.decide import converged, decide, ends_converged, pays
from recryst.agent.decide.policy import Case, Choice, policy
from recryst.state.actions import Deduplicate, Stop
from recryst.state.config import CapsParams, CritiqueParams, ObjectiveParams, StopParams
from recryst.state.decision import Budget, Facts, RoundRecord
from recryst.state.preparation import SemanticParams
from recryst.state.report import ClusterEvidence, ClusterReport, Objective

BUDGET = Budget(rounds_left=5, minutes_left=None, held_still=False)


def cluster(number, size=100, **changes):
    fields = {
        "cluster": number, "size": size, "cohesion": 0.6, "silhouette": 0.2, "nearest_cluster": 0, "separation": 0.4,
        "near_duplicates": 0.0, "outliers": 0.0, "low_quality": 0.0, "stability": 0.9, "terms": ("a",),
        "medoid": number, "boundary": (), "random": (),
    }  # fmt: skip
    return ClusterEvidence(**{**fields, **changes})


def report(*clusters):
    rows = sum(one.size for one in clusters)
    return ClusterReport(
        round=1, algorithm="kmeans", k=len(clusters), rows=rows, noise=0, silhouette=0.2, davies_bouldin=1.0,
        calinski_harabasz=1.0, dbcv=None, stability=0.9, overlap_2d=0.1, overlap_3d=0.1, clusters=clusters,
    )  # fmt: skip


def facts(rows, k=10, **changes):
    fields = {
        "state_key": "s", "kept": rows, "cleaned": rows, "clustering": {"algorithm": "kmeans", "k": k}, "filtered": {},
        "refilters": {}, "language_model": False,
    }  # fmt: skip
    return Facts(**{**fields, **changes})


def choose(seen, history=(), budget=BUDGET, **changes):
    critiques = critique(seen, CritiqueParams())
    candidates = build_candidates(seen, critiques, facts(seen.rows, **changes), history, CapsParams())
    return candidates, decide(policy(None), Case(seen, critiques, candidates, history, budget))


def objective(value=0.5, probe=0.8, coverage=0.9, by_seed=None, **changes):
    fields = {
        "value": value, "noise_sd": 0.02, "clustering_sd": 0.004, "probe_kind": "macro_f1", "probe": probe,
        "probe_sd": 0.02, "probe_by_seed": by_seed or (probe - 0.02, probe - 0.01, probe, probe + 0.01, probe + 0.02),
        "coverage": coverage, "balance": 0.9, "redundancy": 0.1, "noise": 0.1, "structure": 0.1, "silhouette": 0.1,
        "stability": 0.8,
    }  # fmt: skip
    return Objective(**{**fields, **changes})


def record(number, outcome="rolled_back", action=Stop(), state="s", **changes):  # noqa: B008 (it is frozen)
    fields = {
        "round": number, "state_key": state, "action": action, "outcome": outcome,
        "reasons": (), "verdict": None, "kept": 100, "k": 5, "embedded": 0, "before": objective(), "after": objective(),
        "label_agreement": 1.0,
        "keep_agreement": 1.0,
    }  # fmt: skip
    return RoundRecord(**{**fields, **changes})


def test_a_cluster_of_low_quality_is_dropped_first():
    seen = report(*[cluster(n) for n in range(9)], cluster(9, low_quality=0.9), cluster(10, near_duplicates=0.8))
    _, decision = choose(seen)
    assert (decision.action.action, decision.action.params["clusters"], decision.action.params["strategy"]) == (
        "prune",
        [9],
        "drop",
    )


def test_where_a_quality_score_was_learned_both_figures_must_agree():
    good, poor = (cluster(n, low_quality=0.9, quality=q) for n, q in ((1, 4.0), (2, 1.0)))
    verdicts = critique(report(cluster(0, quality=2.5), good, poor), CritiqueParams())
    assert [verdict.verdict for verdict in verdicts] == ["keep", "keep", "drop"]
    assert "its mean score is 1.00, all rows' 2.50" in verdicts[2].reasons[0]
    low_score_alone = critique(report(cluster(0, quality=4.0), cluster(1, quality=0.1)), CritiqueParams())
    assert all(verdict.verdict == "keep" for verdict in low_score_alone)


def test_rows_that_rules_and_score_doubt_can_be_taken_out_within_the_cap():
    seen = report(*[cluster(n) for n in range(10)])
    offered = {}
    for doubtful in (0, 30, 900):
        candidates, _ = choose(seen, quality_below=1.5, doubtful=doubtful, thresholds={"basic.min_words": 3.0})
        offered[doubtful] = [c for c in candidates if "quality_below" in c.action.params]
    assert offered[0] == []
    assert offered[30][0].action.params == {"thresholds": {"basic.min_words": 3.0}, "quality_below": 1.5}
    assert (offered[30][0].rows, offered[30][0].available, offered[900][0].available) == (30, True, False)


def test_rows_that_say_the_same_are_taken_out_before_clusters_are_thinned():
    seen = report(*[cluster(n) for n in range(9)], cluster(9, near_duplicates=0.8))
    _, without = choose(seen)
    assert without.action.params["strategy"] == "keep_furthest"
    candidates, decision = choose(seen, alike=30)
    assert decision.action == Deduplicate(cosine=0.95, which_to_keep="furthest")
    assert decision.action.in_words() == (
        "of rows that say the same (cosine 0.95 or more) keep the one furthest from the centre"
    )
    chosen = next(c for c in candidates if c.id == decision.candidate)
    assert (chosen.rows, chosen.evidence) == (30, {"duplicates": 30.0, "of_rows": 1000.0})
    _, capped = choose(seen, alike=900, semantic=SemanticParams(which_to_keep="longest"))
    assert capped.action.params["target_rows"] == 800
    assert capped.action.in_words().endswith("keep the longest, until 800 rows are left")
    [shut] = [c for c in choose(seen, alike=30, cleaned=2000)[0] if isinstance(c.action, Deduplicate)]
    assert (shut.rows, shut.available) == (0, False)


def test_no_candidate_passes_the_caps():
    seen = report(
        cluster(0, 500, low_quality=0.9), cluster(1, 100, low_quality=0.8), *[cluster(n) for n in range(2, 6)]
    )
    candidates, decision = choose(seen)
    assert decision.action.params["clusters"] == [1]  # cluster 0 holds more than a fifth of the rows
    assert all(c.rows <= 0.2 * seen.rows for c in candidates if c.action.action == "prune")


def test_what_was_tried_on_this_state_is_shown_and_not_chosen_again():
    seen = report(*[cluster(n) for n in range(9)], cluster(9, low_quality=0.9))
    candidates, decision = choose(seen)
    tried = next(c for c in candidates if c.id == decision.candidate)
    again, second = choose(seen, (record(1, action=tried.action),))
    assert second.candidate != next(c.id for c in again if c.action == tried.action)
    assert any("tried on this state in round 1" in r.reason for r in second.rejected)
    _, elsewhere = choose(seen, (record(1, action=tried.action, state="other"),))
    assert elsewhere.action.params == decision.action.params


def test_synthesis_says_that_it_needs_a_language_model():
    candidates, decision = choose(report(*[cluster(n) for n in range(10)]))
    [one] = [c for c in candidates if c.action.action == "synthesise"]
    assert not one.available
    assert "language model" in one.unavailable_because
    assert decision.action.action != "synthesise"


def test_a_spent_budget_and_still_data_mean_stop():
    seen = report(*[cluster(n) for n in range(9)], cluster(9, low_quality=0.9))
    for spent, said in (
        ({"rounds_left": 0}, "the rounds allowed are done"),
        ({"minutes_left": 0.0}, "the time allowed is over"),
        ({"usd_left": 0.0, "tokens_left": 9}, "the money allowed is spent"),
        ({"usd_left": 1.0, "tokens_left": 0}, "the tokens allowed are used"),
        ({"held_still": True}, "labels, keep-set and objective held still"),
    ):
        _, decision = choose(seen, budget=BUDGET.model_copy(update=spent))
        assert (decision.action.action, decision.reasons) == ("stop", (said,))
        assert ends_converged(decision) == ("held_still" in spent)


def test_no_reason_argues_against_its_proposal():
    reasons = {
        c.action.params["k"]: c.reasons
        for c in choose(report(*[cluster(n) for n in range(10)]))[0]
        if "k" in c.action.params
    }
    assert reasons[6] == ("nothing stands out; coarser clusters are tried",)
    assert reasons[16] == ("nothing stands out; finer clusters are tried",)
    shaky = choose(report(cluster(0, stability=0.2), *[cluster(n) for n in range(1, 10)]))[0]
    assert ("1 of 10 clusters is unstable",) in [c.reasons for c in shaky]


def test_an_invented_candidate_becomes_the_safe_default():
    seen = report(*[cluster(n) for n in range(10)])
    critiques = critique(seen, CritiqueParams())
    candidates = build_candidates(seen, critiques, facts(seen.rows), (), CapsParams())
    unavailable = next(c.id for c in candidates if not c.available)
    for invented in ("../../x", unavailable):
        decision = decide(lambda _: Choice(invented, (), {}), Case(seen, critiques, candidates, (), BUDGET))  # noqa: B023
        assert decision.action.action == "stop"
        assert "not an available candidate" in decision.reasons[0]


def test_deciding_twice_gives_the_same_and_every_other_candidate_has_a_reason():
    seen = report(*[cluster(n, size=50 + 40 * n, near_duplicates=n / 12) for n in range(12)])
    candidates, decision = choose(seen)
    assert choose(seen) == (candidates, decision)
    assert {r.id for r in decision.rejected} == {c.id for c in candidates} - {decision.candidate}
    assert all(r.reason for r in decision.rejected)


def test_a_gain_within_the_noise_does_not_pay():
    params = ObjectiveParams()
    # The probe moves alike under every seed: only the clusterings' noise counts, 2 · √2 · 0.004 = 0.0113.
    assert pays(objective(0.50), objective(0.51), params).outcome == "rolled_back"
    assert pays(objective(0.50), objective(0.52), params).outcome == "kept"
    # Here it moves by 0.04 up or down as the seed falls: 2 standard errors are 0.035.
    scattered = objective(0.52, by_seed=(0.82, 0.75, 0.84, 0.77, 0.82))
    assert pays(objective(0.50), scattered, params).outcome == "rolled_back"


@given(st.floats(0.03, 0.5), st.floats(0.0, 0.4))
def test_no_gain_pays_for_a_probe_or_a_coverage_that_falls(loss, gain):
    params = ObjectiveParams()
    assert pays(objective(0.5), objective(0.6 + gain, probe=0.8 - loss), params).outcome == "rolled_back"
    assert pays(objective(0.5), objective(0.6 + gain, coverage=0.9 - loss), params).outcome == "rolled_back"


def test_fewer_bits_per_byte_are_better():
    before, after = (
        objective(probe_kind="bits_per_byte", probe=2.5),
        objective(0.6, probe_kind="bits_per_byte", probe=2.0),
    )
    assert pays(before, after, ObjectiveParams()).outcome == "kept"
    assert pays(after, before.model_copy(update={"value": 0.9}), ObjectiveParams()).outcome == "rolled_back"


def test_convergence_needs_patience_rounds_that_hold_still():
    stop, params = StopParams(patience=2), ObjectiveParams()
    moved = record(1, "kept", after=objective(0.9), keep_agreement=0.5)
    assert not converged((record(1),), stop, params)
    assert not converged((moved, record(2)), stop, params)
    assert converged((moved, record(2), record(3)), stop, params)


def test_rows_are_written_for_thin_clusters_within_their_share():
    seen = report(*[cluster(n) for n in range(5)], cluster(5, 20), cluster(6, 30), cluster(7, 5), cluster(-1, 8))

    def synthesis(**changes):
        candidates, _ = choose(seen, language_model=True, **changes)
        return next(candidate for candidate in candidates if candidate.action.action == "synthesise")

    plenty = synthesis(synthesis_room=200)
    assert (plenty.action.params, plenty.rows) == ({"clusters": [5, 6], "counts": [30, 20]}, 50)
    assert plenty.available
    assert synthesis(synthesis_room=35).action.params == {"clusters": [5, 6], "counts": [30, 5]}
    assert synthesis(synthesis_room=35).rows == 35
    assert not synthesis(synthesis_room=0, synthetic=3).available
    assert not synthesis(synthesis_room=35, text=False).available
    assert not choose(seen, synthesis_room=35)[0][-2].available  # no language model


def test_synthetic_rows_do_not_count_for_the_floor():
    seen = report(*[cluster(n) for n in range(9)], cluster(9, near_duplicates=0.8))
    for synthetic, available in ((0, True), (480, False)):
        candidates, _ = choose(seen, cleaned=1000, synthetic=synthetic)
        assert next(c for c in candidates if c.action.action == "prune").available == available
