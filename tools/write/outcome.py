"""What a user wanted to end with and what a run ended with, in words: the same on terminal, report and card."""

from ...state.phrases import counted
from ...state.report import Selected, Selection, SelectionName

_CHOSEN: dict[SelectionName, str] = {
    "suspicion": "the most suspect rows go",
    "representative": "rows that stand for the others stay",
    "endorsed": "the rows nearest to the endorsed ones stay",
    "random": "rows go by lot",
    "furthest": "the rows furthest from their centroid stay",
    "closest": "the rows nearest to their centroid stay",
    "semdedup": "rows like another of their cluster go",
    "d4": "rows like another go, and of the others those near their centroid",
    "k_center": "rows that leave no other far away stay",
    "facility_location": "rows that stand for all others stay",
    "density": "rows in dense places go, by lot",
    "hierarchical": "an equal share of every branch of hierarchical clusters stays",
}


def selection_in_words(one: Selection) -> str:
    """What a choice of the rows that stay is worth, beside the same number by lot."""
    said = f"{_CHOSEN[one.name]}: {counted(one.rows, 'row')}, probes {one.score:.4f}"
    if one.gain is not None:
        said += f", {one.gain:+.4f} ± {one.error:.4f} over as many by lot".replace("-", "−")
    return said + (" (taken)" if one.taken else "")


def outcome_in_words(found: Selected) -> str:
    """What was to be ended with, what the run ended with, and by which choice of rows."""
    return " ".join(one for one in (_size_in_words(found), _doubt_in_words(found), _choice_in_words(found)) if one)


def _size_in_words(found: Selected) -> str:
    stay = counted(found.after, "training row")
    if found.keep is None:
        return f"{stay} of {found.before:,} stay."
    said = f"At most {counted(found.keep, 'training row')} were asked for: "
    if found.after > found.keep:
        return (
            f"{said}{found.after:,} stay, because no fewer hold the best row of every class and source and the "
            "rows that a person keeps."
        )
    return f"{said}{found.after:,} of {found.before:,} stay."


def _doubt_in_words(found: Selected) -> str:
    if found.target_noise is None:
        return ""
    asked = f"At most {found.target_noise:.2%} of them in doubt were asked for: "
    if found.in_doubt is None or found.in_doubt_before is None:
        return f"{asked}there is no evidence on single rows, so that none was sought."
    share, before = found.in_doubt / max(1, found.after), found.in_doubt_before / max(1, found.before)
    said = f"{asked}the evidence, as it was last gathered, puts {share:.2%} in doubt, before {before:.2%}"
    return f"{said}." if found.reached else f"{said}; the best row of every class and source stays."


def _choice_in_words(found: Selected) -> str:
    taken = next((one for one in found.selections if one.taken), None)
    if taken is None:
        return ""
    if taken.gain is None or taken.error is None:
        return "No method beat a random choice of the same size on the held-out rows, so that rows went by lot."
    beyond = "within" if abs(taken.gain) <= 2 * taken.error else "beyond"
    said = f"{_CHOSEN[taken.name].capitalize()}: {taken.gain:+.4f} over as many by lot, {beyond} noise."
    return said.replace("-", "−")
