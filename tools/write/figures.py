"""How the figures of a run compare, and how they are written.

Everything is measured already; here it is only put side by side.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ...state.events import StageGain
from ...state.phrases import counted, number
from ...state.report import Headline, Moved, Objective, ProbeName
from ...state.values import BaselineFigures, LabelConflicts, LabelLesson, LabelTally, ModelFigures
from ..judge.labels import STAGES
from ..judge.taxonomy import PARTS
from ..judge.weak import FEWEST_KEYWORDS, FEWEST_ROWS
from .outcome import outcome_in_words, selection_in_words
from .shown import Conflicts, Hit, InDoubts, Relabelled, ReportData, Round

GROUPS_SHOWN = 12


@dataclass(frozen=True)
class Part:
    """A figure of the objective: its key (in ``Objective``, or a probe's name), title, meaning and better side."""

    key: str
    title: str
    meaning: str
    lower_is_better: bool = False

    def of(self, objective: Objective | None) -> float | None:
        """The figure itself; None where it was not measured."""
        if objective is None:
            return None
        probes = {probe.name: probe.score for probe in objective.probes}
        found: float | None = probes[self.key] if self.key in probes else getattr(objective, self.key)
        return found


VALUE = Part("value", "Worth of the rows", "Mean score of the probes; an action on rows is kept when it raises this.")
_ON_ANCHOR = "trained on the kept rows, scored on rows held out from every choice."
_PROBES: dict[ProbeName, Part] = {
    "nearest_neighbor": Part("nearest_neighbor", "Probe: nearest neighbour", f"Macro recall of 1-NN, {_ON_ANCHOR}"),
    "linear_discriminant": Part(
        "linear_discriminant", "Probe: linear discriminant", f"Macro recall of a linear classifier, {_ON_ANCHOR}"
    ),
    "nearest_answer": Part(
        "nearest_answer", "Probe: nearest answer", "How like the answer of the nearest kept question is to a row's own."
    ),
    "bits_per_byte": Part(
        "bits_per_byte", "Probe: text", f"1 less bits per byte / 8 of a small language model, {_ON_ANCHOR}"
    ),
}
_PARTS = (
    Part("coverage", "Coverage", "Share of the confirmed held-out rows that the kept rows still cover."),
    Part("clustering", "Clustering", "Structure, balance and stability, weighted; another clustering must raise this."),
    Part("structure", "Structure", "How clearly the clusters stand apart, from the silhouette."),
    Part("balance", "Balance", "How evenly the rows are spread over the clusters; 1 is perfectly even."),
    Part("stability", "Stability", "How alike the clusters come out again on resampled rows; 0.75 counts as stable."),
    Part("redundancy", "Redundancy", "Share of rows that say what another row already says; it has no vote.", True),
    Part("noise", "Noise", "Share of rows that lie far from every other row; it has no vote.", True),
)


def parts_of(data: ReportData) -> tuple[Part, ...]:
    """The objective and its parts, with the probe that this run used; empty where no round was measured."""
    if not data.rounds:
        return ()
    return (VALUE, *(_PROBES[probe.name] for probe in data.rounds[0].before.probes), *_PARTS)


def standing(data: ReportData) -> list[Objective]:
    """The objective of the data as it stood at the start and after each round: an action not kept changes nothing."""
    after = [one.metrics if one.outcome in ("kept", "by_person") else one.before for one in data.rounds]
    return [data.rounds[0].before, *after] if data.rounds else []


@dataclass(frozen=True)
class Comparison:
    """One part of the objective before and after a round, and whether it became better or worse.

    ``noise``: the change is below what it was held against.
    """

    part: Part
    before: float | None
    after: float | None
    change: float | None
    sense: str  # same, better or worse
    noise: bool


def compare(data: ReportData, one: Round) -> list[Comparison]:
    """Each part of the objective before and after a round."""
    lines = []
    for part in parts_of(data):
        before, after = part.of(one.before), part.of(one.after)
        change = None if before is None or after is None else after - before
        if change is None or number(before) == number(after):
            sense = "same"
        else:
            sense = "better" if (change < 0) == part.lower_is_better else "worse"
        noise = one.noise.get(part.key)
        within = bool(noise and change is not None and sense != "same" and abs(change) <= noise)
        lines.append(Comparison(part, before, after, change, sense, within))
    return lines


def percent(value: float | None, digits: int = 1) -> str:
    """A share in [0, 1] as a percentage; a dash for none."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def size(size_bytes: float) -> str:
    """Bytes with a decimal unit."""
    for unit in ("B", "kB", "MB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.2f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.2f} GB"


def duration(seconds: float) -> str:
    """Seconds in the largest units that fit."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def hardest(taken: Sequence[Hit]) -> list[Hit]:
    """The groups that lost most beyond their stage's average, at most ``GROUPS_SHOWN``: those far above it first.

    Groups that were counted together are none, and neither is one that lost no more than the average.
    """
    above = [(hit.removed - hit.average * hit.rows, hit) for hit in taken if hit.group is not None]
    ranked = sorted((pair for pair in above if pair[0] > 0), key=lambda pair: (not pair[1].high, -pair[0]))
    return [hit for _, hit in ranked[:GROUPS_SHOWN]]


def hit_in_words(hit: Hit) -> str:
    """One group that a stage hit, in a sentence. The group's name comes from the data and is not made safe here."""
    return (
        f"{hit.stage} removed {100 * hit.rate:.1f} % of the {hit.kind} “{hit.group}” "
        f"({hit.removed:,} of {counted(hit.rows, 'row')}); its average is {100 * hit.average:.1f} %"
    )


def gain_in_words(gain: StageGain | None) -> str:
    """What a stage was worth to the probe, with its standard error; a dash where it was not measured.

    Where not every row that the stage removed was put back, it says of how many the figure tells.
    """
    if gain is None or gain.gain is None:
        return "–"
    some = f" ({gain.added:,} of {gain.removed:,} rows)" if gain.added < gain.removed else ""
    return f"{gain.gain:+.4f} ± {gain.error:.4f}, {gain.verdict}{some}".replace("-", "−")


def conflicts_in_words(found: LabelConflicts | Conflicts) -> str:
    """What became of contents that copies carry with different labels."""
    texts = counted(found.texts, "text")
    said = f"{texts} {'stands' if found.texts == 1 else 'stand'} with several labels, in {found.rows:,} copies"
    if decided := found.texts - found.tied:
        said += f"; the label of most copies stays ({decided:,})"
    if found.tied:
        said += f"; without a majority, a row for each of the first labels stays ({found.tied:,})"
    return said


def near_in_words(rows: int) -> str:
    """What became of rows that nearly repeat a row with another label."""
    repeat, differ = ("repeats", "it stays") if rows == 1 else ("repeat", "they stay")
    return (
        f"{counted(rows, 'row')} nearly {repeat} a row with another label: a pair that differs in what decides, or a "
        f"label at fault; {differ}"
    )


def relabelled_in_words(found: Relabelled) -> str:
    """How many rows have another label, and where it stands. Names come from the data and are not made safe here."""
    have = "has" if found.rows == 1 else "have"
    return (
        f"{counted(found.rows, 'row')} {have} another label, in the column {found.column}; "
        f"the column {found.original} stays as it was"
    )


_JUDGED = {
    "better": "better",
    "worse": "worse",
    "unsure": "the interval holds 0, so that no difference is shown",
}
_STYLES = {"better": "bold green", "worse": "bold red", "unsure": "bold yellow"}


def headline_in_words(found: Headline) -> str:
    """What a run came to on its sealed rows: before, after, and whether the difference is more than chance."""
    if found.score is None:
        return f"The {counted(found.rows, 'sealed row')} tell nothing: no probe scores enough of them."
    said = f"On {counted(found.confirmed, 'row')} that nobody looked at: probes {_moved_in_words(found.score)}"
    said += f": {_judged(found.score)}."
    if found.raw is not None and found.confirmed < found.rows:
        said += f" Over all {found.rows:,}, the doubtful ones too: {_moved_in_words(found.raw)}."
    return said


def headline_style(found: Headline) -> str:
    """The colour that goes with it on a terminal."""
    return _STYLES["unsure" if found.score is None else found.score.sense]


def _judged(score: Moved) -> str:
    return _JUDGED[score.sense] if score.error else "no row is scored otherwise"


def labels_in_words(found: LabelTally) -> str:
    """Who gave how many labels, part by part, in the order of the stages."""
    parts = [
        f"{part} "
        + (", ".join(f"{by[stage]:,} by {stage.replace('_', '-')}" for stage in STAGES if stage in by) or "none")
        for part in PARTS if (by := found.by.get(part)) is not None
    ]  # fmt: skip
    return f"{counted(found.rows, 'row')}: {'; '.join(parts)}; unsure of a domain or a difficulty: {found.unsure:,}"


def lesson_in_words(part: str, lesson: LabelLesson) -> str:
    """What the classifier of one part of the labels learned, or why it labels nothing."""
    enough = f"{FEWEST_KEYWORDS} keywords that stand in {FEWEST_ROWS} rows each that the rules label"
    if lesson.margin is None or lesson.right is None:
        why = f"fewer than two names have {enough}, and not always together"
        if lesson.judged:
            why = "what it is sure of is not as precise as label.precision asks"
        elif not lesson.left_out:  # every name has keywords enough
            why = "it cannot be tried: that takes rows of two names that hold one keyword of theirs and lack another"
        return f"{part}: the classifier labels nothing: {why}"
    learned = f"{part}: the classifier learned from {counted(lesson.examples, 'row')} that the rules label"
    tried = f"of rows that it was tried on, taught without their keywords, {lesson.right:.1%} are right there"
    left_out = f"; it never gives {', '.join(lesson.left_out)}, without {enough}" if lesson.left_out else ""
    return f"{learned}, and labels from a lead of {lesson.margin:.2f} on: {tried}{left_out}"


def _moved_in_words(one: Moved) -> str:
    interval = f"[{one.low:+.4f}, {one.high:+.4f}]".replace("-", "−")
    difference = f"{one.difference:+.4f}".replace("-", "−")
    return f"{one.before:.4f} before, {one.after:.4f} after, difference {difference} {interval}"


def review_in_words(found: InDoubts) -> str:
    """How many rows are in doubt, and where a person answers."""
    is_are, listed = "is" if found.rows == 1 else "are", len(found.listed)
    said = f"{counted(found.rows, 'row')} {is_are} in doubt"
    if not listed:
        return said
    where = found.file if listed == found.rows else f"the {listed:,} most telling stand in {found.file}"
    return f"{said}: {where}; fill in its last column (keep, remove or label NAME), and run again with --answers"


def baseline_in_words(found: BaselineFigures, dense: ModelFigures) -> str:
    """What the training of the final model makes of the crude rows, beside what it makes of the curated ones."""
    change = f"{100 * (dense.bits_per_byte / found.bits_per_byte - 1):+.2f} %".replace("-", "−")
    return (
        f"the crude set's model beside it, trained alike on {counted(found.rows, 'row')} before anything was removed: "
        f"{found.bits_per_byte:.4f} bits per byte of the held-out rows, the curated set's "
        f"{dense.bits_per_byte:.4f} ({change})"
    )


def curve(values: Sequence[float], width: int, height: int) -> str:
    """The points of an SVG polyline of those pixels through values at equal distances, the highest at the top."""
    low, high = min(values), max(values)
    places = ((at / max(1, len(values) - 1), (high - value) / ((high - low) or 1)) for at, value in enumerate(values))
    return " ".join(f"{width * x:.1f},{height * y:.1f}" for x, y in places)


#: The filters of the templates.
FILTERS = {
    **{one.__name__: one for one in (number, percent, size, duration, counted)},
    "baseline": baseline_in_words,
    "curve": curve,
    "hit": hit_in_words,
    "gain": gain_in_words,
    "conflicts": conflicts_in_words,
    "near": near_in_words,
    "relabelled": relabelled_in_words,
    "headline": headline_in_words,
    "labels": labels_in_words,
    "lesson": lesson_in_words,
    "outcome": outcome_in_words,
    "selection": selection_in_words,
}
