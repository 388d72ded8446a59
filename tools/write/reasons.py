"""Why a row went, in words: the one table of the reasons that stand in a ledger or in the evidence of a tool."""

import re

from ..text.measures import MEASURES

REASONS = {
    "missing_text": "it has no text",
    "missing_label": "it has no label, and rows without one were to go",
    "exact_duplicate": "another row has the same content, byte for byte",
    "normalised_duplicate": "another row has the same content once both are normalised",
    "outvoted_label": "another row has the same content with a label that more of its copies carry",
    "language": "its language is none of those that stay, or could not be told",
    "in_corpus": "it stands in the corpus already, or nearly",
    "near_duplicate": "it nearly repeats another row",
    "merged": "it was merged into another note, a more complete clipping of the same text, which names its source",
    "benchmark_ngram": "it has a run of words in common with a benchmark",
    "benchmark_span": "its longest run of words in common with a benchmark covers much of the benchmark's text",
    "benchmark_text": "whole lines of it are a text of a benchmark",
    "semantic_duplicate": "another row says the same in other words",
    "refilter_quality": "its predicted quality is low, and it passes a quality rule only narrowly",
    "prune_drop": "its cluster was taken out as a whole",
    "prune_keep_furthest": "its cluster was thinned, and it lay nearer to the middle than those that stay",
    "prune_keep_closest": "its cluster was thinned, and it lay further from the middle than those that stay",
    "prune_keep_random": "its cluster was thinned by lot",
    "label_support": "the other rows do not bear out its label",
    "label_margin": "another label is likelier for it",
    "pair_doubt": "its answer does not fit its question, breaks off, is empty or says what many others say",
    "mispaired": "its answer fits other questions better than its own",
    "broken_off": "its answer breaks off",
    "boilerplate": "its answer is one that many questions have",
    "empty": "its answer is empty",
    "gibberish": "its answer is unlike any other in its characters, and does not fit its question",
    "off_topic": "it lies far from all other rows",
    "surprise": "its text is unlike any other in its characters",
    "person": "a person said so",
    "over_keep_suspicion": "more rows stood than were asked for, and the evidence speaks more against it than "
    "against those that stay",
    "over_keep_representative": "more rows stood than were asked for, and others that stay stand for it",
    "over_keep_endorsed": "more rows stood than were asked for, and it lies further from the endorsed rows than those "
    "that stay",
    "over_keep_random": "more rows stood than were asked for, and it was drawn by lot",
    "over_keep_furthest": "more rows stood than were asked for, and it lies near the centroid of its cluster",
    "over_keep_closest": "more rows stood than were asked for, and it lies far from the centroid of its cluster",
    "over_keep_semdedup": "more rows stood than were asked for, and it is like another row of its cluster",
    "over_keep_d4": "more rows stood than were asked for, and it is like another row or near its centroid",
    "over_keep_k_center": "more rows stood than were asked for, and rows that stay are near it",
    "over_keep_facility_location": "more rows stood than were asked for, and others that stay stand for it",
    "over_keep_density": "more rows stood than were asked for, and it lies among many others",
    "over_keep_hierarchical": "more rows stood than were asked for, and its branch of clusters had its share",
    "over_share": "there were more synthetic rows than their share allows",
}
#: Reasons whose twin is no row of the data, but of a corpus or a benchmark, as FILE#ID.
OUTSIDE = ("in_corpus", "benchmark_ngram", "benchmark_span", "benchmark_text")
_RULE = re.compile(r"(\w+)\.(min|max)_(\w+)")


def in_words(reason: str) -> str:
    """The sentence for a reason; that of a quality rule says what it measures and on which side of its limit the row
    lies. A reason that nobody put in the table is its own name."""
    if reason in REASONS:
        return REASONS[reason]
    rule = _RULE.fullmatch(reason)
    if rule and (measure := f"{rule[1]}.{rule[3]}") in MEASURES:
        return f"a quality rule found too {'little' if rule[2] == 'min' else 'much'}: {MEASURES[measure]}"
    return reason.replace("_", " ")
