"""Deciding, judging and stopping: pure functions with known answers."""

from recryst.agent.decide.candidates import build_candidates, untried_kinds
from recryst.agent.decide.critique.rules_critic import critique
from recryst.agent.decide.decide import converged, decide, ends_converged
from recryst.agent.decide.policy import Case, Choice, policy
from recryst.state.actions import ChangeK, Deduplicate, Refilter, Relabel, RemoveMarked, RemoveSuspects, Stop
from recryst.state.decision import Budget, Change, Facts, RoundRecord, Verdict
from recryst.state.params.preparation import SemanticParams
from recryst.state.params.rounds import CapsParams, CritiqueParams, ObjectiveParams, StopParams
from recryst.state.report import ClusterEvidence, ClusterReport, Objective, Probe

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
        "state_key": "s", "rows_key": "r", "kept": rows, "cleaned": rows, "filtered": {}, "refilters": {},
        "clustering": {"algorithm": "kmeans", "k": k}, "language_model": False,
    }  # fmt: skip
    return Facts(**{**fields, **changes})


def verdict(gain, price=0.0, error=0.001, pays=True):
    """What was measured of a candidate: a gain, and whether that pays."""
    changes = (Change(name="mean", gain=gain, error=error),)
    outcome = "kept" if pays else "rolled_back"
    return Verdict(
        outcome=outcome, reasons=("measured",), changes=changes, gain=gain, needed=0.002, price=price, looks=1
    )


def choose(seen, history=(), budget=BUDGET, measured=lambda action: None, **changes):
    """The candidates, those for which ``measured`` gives a verdict with it, and the rules' decision."""
    critiques = critique(seen, CritiqueParams())
    built = build_candidates(seen, critiques, facts(seen.rows, **changes), history, CapsParams())
    candidates = tuple(one.model_copy(update={"appraisal": measured(one.action)}) for one in built)
    return candidates, decide(policy(None), Case(seen, critiques, candidates, history, budget))


def objective(value=0.5, **changes):
    fields = {
        "value": value, "probes": (Probe(name="nearest_neighbor", score=value, raw=value),), "coverage": 0.9,
        "clustering": 0.2, "clustering_sd": 0.004, "balance": 0.9, "redundancy": 0.1, "noise": 0.1, "structure": 0.1,
        "silhouette": 0.1, "stability": 0.8,
    }  # fmt: skip
    return Objective(**{**fields, **changes})


def record(number, outcome="rolled_back", action=Stop(), state="s", rows="r", **changes):  # noqa: B008 (it is frozen)
    fields = {
        "round": number, "state_key": state, "rows_key": rows, "action": action, "outcome": outcome,
        "reasons": (), "verdict": None, "kept": 100, "k": 5, "embedded": 0, "before": objective(), "after": objective(),
        "label_agreement": 1.0,
        "keep_agreement": 1.0,
    }  # fmt: skip
    return RoundRecord(**{**fields, **changes})


def test_what_was_measured_to_pay_best_is_done_and_what_does_not_pay_never():
    seen = report(*[cluster(n) for n in range(9)], cluster(9, low_quality=0.9), cluster(10, near_duplicates=0.8))
    gains = {"drop": verdict(0.02, price=0.009), "keep_furthest": verdict(0.015, price=0.001)}
    _, best = choose(seen, measured=lambda action: gains.get(getattr(action, "strategy", "")))
    assert best.action.strategy == "keep_furthest"  # a net gain of 0.014 against one of 0.011
    _, none = choose(seen, measured=lambda action: verdict(0.5, pays=False) if action.action == "prune" else None)
    assert none.action.action == "change_k"
    assert all(other.reason == "measured: measured" for other in none.rejected if other.action == "prune")


def test_among_gains_within_noise_the_action_that_takes_fewest_rows_is_done():
    seen = report(*[cluster(n) for n in range(10)])
    suspects = {"label_support": {"0.01": 50, "0.02": 80, "0.05": 120}}
    gains = {0.01: verdict(0.030, error=0.01), 0.02: verdict(0.035, error=0.01), 0.05: verdict(0.036, error=0.01)}

    def measured(action):
        return gains[action.threshold] if isinstance(action, RemoveSuspects) else None

    _, decision = choose(seen, suspects=suspects, measured=measured)
    assert decision.action == RemoveSuspects(by="label_support", threshold=0.01)
    gains[0.05] = verdict(0.060, error=0.01)
    assert choose(seen, suspects=suspects, measured=measured)[1].action.threshold == 0.05


def test_near_duplicates_need_not_gain_and_come_after_what_does():
    seen = report(*[cluster(n) for n in range(10)])
    exempt = verdict(-0.0001).model_copy(update={"needed": 0.0})
    gains = {"remove_marked": exempt, "remove_suspects": verdict(0.03)}
    changes = {"marked": {"near_duplicate": 20}, "suspects": {"pair_doubt": {"3": 40}}}
    _, first = choose(seen, measured=lambda action: gains.get(action.action), **changes)
    assert isinstance(first.action, RemoveSuspects)
    del gains["remove_suspects"]
    _, second = choose(seen, measured=lambda action: gains.get(action.action), **changes)
    assert second.action == RemoveMarked(mark="near_duplicate")


def test_evidence_is_offered_at_each_strength_that_takes_other_rows_and_within_the_cap():
    seen = report(*[cluster(n) for n in range(10)])
    candidates, _ = choose(seen, suspects={"label_support": {"0.01": 60, "0.02": 60, "0.05": 900}})
    offered = [c.action for c in candidates if isinstance(c.action, RemoveSuspects | Relabel)]
    assert [(type(one), one.threshold, one.target_rows) for one in offered] == [
        (RemoveSuspects, 0.01, None),
        (Relabel, 0.01, None),
        (RemoveSuspects, 0.05, 650),
        (Relabel, 0.05, 650),
    ]
    assert max(c.rows for c in candidates) == 350


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


def test_rows_that_say_the_same_are_a_candidate_within_the_caps():
    seen = report(*[cluster(n) for n in range(10)])

    def offered(**changes):
        return next(c for c in choose(seen, **changes)[0] if isinstance(c.action, Deduplicate))

    one = offered(alike=30)
    assert one.action == Deduplicate(cosine=0.95, which_to_keep="furthest")
    assert one.action.in_words() == (
        "of rows that say the same (cosine 0.95 or more) keep the one furthest from the centre"
    )
    assert (one.rows, one.evidence) == (30, {"duplicates": 30.0, "of_rows": 1000.0})
    capped = offered(alike=900, semantic=SemanticParams(which_to_keep="longest")).action
    assert capped.params["target_rows"] == 650
    assert capped.in_words().endswith("keep the longest, until 650 rows are left")
    shut = offered(alike=30, cleaned=2000)
    assert (shut.rows, shut.available) == (0, False)


def test_no_candidate_passes_the_caps():
    seen = report(
        cluster(0, 500, low_quality=0.9), cluster(1, 100, low_quality=0.8), *[cluster(n) for n in range(2, 6)]
    )
    candidates, _ = choose(seen)
    [drop] = [c for c in candidates if getattr(c.action, "strategy", "") == "drop"]
    assert drop.action.params["clusters"] == [1]  # cluster 0 holds more than a third of the rows
    assert all(c.rows <= CapsParams().step_fraction * seen.rows for c in candidates if c.action.action == "prune")


def test_what_was_tried_is_remembered_by_the_rows_and_another_clustering_by_both():
    seen = report(*[cluster(n) for n in range(10)])
    changes = {"marked": {"near_duplicate": 20}}

    def available(action, *history):
        return next(c.available for c in choose(seen, history, **changes)[0] if c.action == action)

    copies, coarser = RemoveMarked(mark="near_duplicate"), ChangeK(algorithm="kmeans", k=6)
    assert not available(copies, record(1, action=copies, state="other clusters"))
    assert available(copies, record(1, action=copies, rows="other rows"))
    assert not available(coarser, record(1, action=coarser, rows="other rows"))
    assert available(coarser, record(1, action=coarser, state="other clusters"))
    said = choose(seen, (record(1, action=coarser),), **changes)[1].rejected
    assert any("tried on this state in round 1" in one.reason for one in said)


def test_held_still_does_not_end_a_run_while_an_action_was_measured_to_pay():
    seen = report(*[cluster(n) for n in range(10)])
    still = BUDGET.model_copy(update={"held_still": True})
    gain = {"measured": lambda action: verdict(0.03) if action.action == "remove_marked" else None}
    assert choose(seen, budget=still, marked={"near_duplicate": 20}, **gain)[1].action.action == "remove_marked"
    assert choose(seen, budget=still, marked={"near_duplicate": 20})[1].action == Stop()


def test_held_still_does_not_end_a_run_while_a_kind_of_action_that_is_called_for_is_untried():
    still = BUDGET.model_copy(update={"held_still": True})
    seen = report(*[cluster(n) for n in range(10)])
    critiques = critique(seen, CritiqueParams())
    filtered = {"filtered": {"gopher.min_words": 9}, "refilters": {"gopher.min_words": {"gopher.min_words": 20.0}}}
    thin = {"language_model": True, "synthesis_room": 0}

    def decided(seen, *history, measured=True, **changes):
        known = facts(seen.rows, **changes)
        candidates = build_candidates(seen, critiques, known, history, CapsParams())
        untried = untried_kinds(candidates, history, known, measured)
        return decide(policy(None), Case(seen, critiques, candidates, history, still, untried)).action.action, untried

    assert decided(seen, **thin) == ("stop", frozenset())  # another clustering is not called for by any figure
    assert decided(seen, **filtered) == ("refilter", {"refilter"})
    tried = record(1, action=Refilter(thresholds=filtered["refilters"]["gopher.min_words"]))
    assert decided(seen, tried, **filtered) == ("stop", frozenset())
    assert decided(seen, tried.model_copy(update={"rows_key": "others"}), **filtered)[0] == "refilter"
    # What could be measured and was not would change nothing; where a model has it measured, it may be worth a look.
    assert decided(seen, marked={"near_duplicate": 20})[0] == "stop"
    assert decided(seen, marked={"near_duplicate": 20}, measured=False)[1] == {"remove_marked"}


def test_a_kind_that_was_not_tried_comes_before_another_variant_of_one_that_was():
    seen = report(*[cluster(n, cohesion=0.1) for n in range(10)])
    rules = {"gopher.min_words": {"gopher.min_words": 20.0}, "gopher.max_words": {"gopher.max_words": 900.0}}
    filtered = {"filtered": dict.fromkeys(rules, 9), "refilters": rules}
    critiques, known = critique(seen, CritiqueParams()), facts(seen.rows, **filtered)
    history = (record(1, action=Refilter(thresholds=rules["gopher.max_words"])),)
    candidates = build_candidates(seen, critiques, known, history, CapsParams())
    untried = untried_kinds(candidates, history, known, measured=True)
    assert untried == {"change_k"}
    chosen = decide(policy(None), Case(seen, critiques, candidates, history, BUDGET, untried)).action
    assert (chosen.action, chosen.k) == ("change_k", 16)


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
