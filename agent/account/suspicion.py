"""What the evidence on single rows says of one row, in words."""

from ...state.canonical import Json
from ...state.events import Act, JudgeHeldOut
from ...state.values import Role
from ..view import View

_FIGURES = {
    "label_margin": "beside its class, the log-odds of its label less those of the likeliest other come to {:.1f}",
    "pairing_rank": "{:.1%} of the other answers fit its question better than its own",
    "broken_off": "its answer breaks off, with a probability of {:.1%}",
    "boilerplate": "{:.1%} of the rows have the same answer to unrelated questions",
    "isolation": "it lies further from its nearest neighbours than rows do, by {:.1f} robust deviations",
    "surprise": "its characters surprise more than those of rows do, by {:.1f} robust deviations",
}


def evidence_on_row(view: View, row: int, judged: int) -> Json | None:
    """The figures of the last evidence on a position by which anything was decided; None where there are none.

    ``judged``: number of the event that gave the row its status. A row that went has the evidence that it went by.
    """
    event = view.events[judged] if judged < len(view.events) else None
    then = view.at(judged) if isinstance(event, Act) else view
    last = next((one.seq for one in view.events if isinstance(one, JudgeHeldOut)), None)
    roles: tuple[Role, ...] = ("evidence", "anchor_evidence")
    for role in roles:
        if not then.has(role):
            continue
        frame = then.frame(role)
        found = frame.filter(frame["row"] == row).drop("row")
        if found.height:
            figures = {name: value for name, value in found.row(0, named=True).items() if value is not None}
            spoken_of = view.at(last) if role == "anchor_evidence" and last is not None else then
            if "label_support" in figures:
                figures["label"] = spoken_of.labels()[row]
            return figures or None
    return None


def in_words(figures: Json) -> list[str]:
    """What the figures on a row say, a line each."""
    said = []
    if (support := figures.get("label_support")) is not None:
        of = [
            meaning.format(figures[name])
            for name, meaning in (
                ("own_probability", "a model of the other rows gives it a probability of {:.1%}"),
                ("own_vote", "its neighbours give it {:.1%} of their votes"),
            )
            if figures.get(name) is not None
        ]
        said.append(
            f"the other rows bear out the label {figures['label']} to {support:.4f} of 1"
            + (f": {', '.join(of)}" if of else "")
        )
    if (other := figures.get("other_label")) is not None:
        sure = figures.get("other_probability")
        said.append(f"both prefer the label {other}" + ("" if sure is None else f", with a probability of {sure:.1%}"))
    if (doubt := figures.get("pair_doubt")) is not None:
        fault = f", as {figures['fault'].replace('_', ' ')}" if figures.get("fault") else ""
        said.append(f"its answer is doubted to {doubt:g} of 3{fault}")
    said += [meaning.format(figures[name]) for name, meaning in _FIGURES.items() if figures.get(name) is not None]
    if (confirmed := figures.get("confirmed")) is not None:
        said.append(
            "held out; it counts where actions are measured"
            if confirmed
            else "held out, but too doubtful to count where actions are measured"
        )
    return said
