"""What the first separation took out, derived again for the audit."""

from __future__ import annotations

import numpy as np
import polars as pl

from ...state.rows import Removal, hold_out, kept_rows
from ...tools.judge import select
from ...tools.text import clean, filters
from ..steps import separation
from .logged import Claim, Logged


def clean_claims(at: Logged) -> list[Claim]:
    """The text is the rows' own, normalised; and what went are its copies."""
    raw, text = at.store.frame(at.state.artefacts["rows"], ["text"])["text"], _text(at, patched=True)
    found = [] if "given_vectors" in at.state.artefacts else separation.copies(raw, text, _kept(at))
    return [
        ("normalised text", True, clean.normalise(raw, at.config.clean).equals(text, null_equal=True)),
        *_took(at, found),
    ]


def language_claims(at: Logged) -> list[Claim]:
    """The rows in other languages went; which language a text is in is taken as logged."""
    languages = at.store.frame(at.patch.artefacts["languages"] or "")
    return _took(at, separation.foreign(languages, _kept(at), at.config))


def filter_claims(at: Logged) -> list[Claim]:
    """The profile suits the rows, and those went that fail its rules; a text's measures are taken as logged."""
    annotations, rows = at.store.frame(at.patch.artefacts["annotations"] or ""), _kept(at)
    profile = separation.profile_of(at.config, _text(at).fill_null(""), rows, at.state.values)
    chosen = {"profile": profile, "thresholds": at.config.filter.thresholds}
    claims: list[Claim] = [("profile and thresholds", (chosen, chosen), (at.patch.values, at.event.params))]
    if profile != "none":
        again = filters.verdicts(annotations, filters.bounds(profile, at.config.filter.thresholds))
        claims.append(("verdicts", True, again.equals(at.store.frame(at.patch.artefacts["verdicts"] or ""))))
    return [*claims, *_took(at, separation.junk(annotations, rows, profile, at.config))]


def dedup_claims(at: Logged) -> list[Claim]:
    """The near-duplicates went; what stands in a corpus is taken as logged, because a corpus is not in the run."""
    rows = _kept(at)
    if "given_vectors" in at.state.artefacts:
        return _took(at, [])
    in_corpus = None
    if at.config.dedup.against:
        found = at.store.frame(at.patch.artefacts["in_corpus"] or "")
        in_corpus = separation.standing_in_corpus(found, rows, at.config)
    annotations = at.store.frame(at.state.artefacts["annotations"])
    quality = separation.quality_of_rules(annotations, rows, at.state.values, at.config)
    text = _text(at).gather(rows).fill_null("")
    return _took(at, separation.repeats(text, rows, quality, at.config, in_corpus))


def contamination_claims(at: Logged) -> list[Claim]:
    """The rows went that hold a text of the benchmarks, and the evidence is what they share."""
    rows = _kept(at)
    text, benchmarks = _text(at).gather(rows).fill_null(""), at.store.frame(at.state.artefacts["benchmarks"])
    found = separation.contamination(text, rows, benchmarks, at.config)
    shared = at.store.frame(at.patch.artefacts["matches"] or "")
    return [("matches with the benchmarks", True, found.matches.equals(shared)), *_took(at, found.removals)]


def hold_out_claims(at: Logged) -> list[Claim]:
    """The anchor is the sample that the seed draws."""
    before, rows = at.store.frame(at.state.artefacts["ledger"]), _kept(at)
    anchor = select.choose_anchor(rows, at.config.anchor, at.config.seed)
    after = at.store.frame(at.patch.artefacts["ledger"] or "")
    return [
        ("held-out rows", True, hold_out(before, anchor, at.event.seq).equals(after)),
        ("cleaned rows", (len(rows), len(anchor)), (at.patch.values["cleaned_rows"], at.event.metrics["anchor"])),
    ]


def _took(at: Logged, removals: list[Removal]) -> list[Claim]:
    """The ledger after the step is the one before without these rows; or the step was refused for its cap."""
    sources = None
    if at.state.values.get("source_column") is not None:
        sources = at.store.frame(at.state.artefacts["rows"], ["source"])["source"]
    ledger = at.store.frame(at.state.artefacts["ledger"])
    done = separation.separate(ledger, removals, at.event.type, at.event.seq, at.config, sources)
    refused = (None, []) if done.refused is None else ("refused", [done.refused])
    return [
        ("removed rows", True, done.ledger.equals(at.store.frame(at.patch.artefacts["ledger"] or ""))),
        ("refusal", refused, (at.event.outcome, at.event.reasons)),
    ]


def _kept(at: Logged) -> np.ndarray:
    return kept_rows(at.store.frame(at.state.artefacts["ledger"]))


def _text(at: Logged, patched: bool = False) -> pl.Series:
    """The normalised text by position, as it stood before the event, or as it set it."""
    artefacts = at.patch.artefacts if patched else at.state.artefacts
    return at.store.frame(artefacts["text"] or "", ["text"])["text"]
