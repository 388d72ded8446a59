"""What a report shows beside its figures, with a text wherever one may stand."""

from recryst.state.report import Headline, Moved, ProbeMoved
from recryst.tools.write.choices import Choices
from recryst.tools.write.shown import Conflicts, ConflictShown, LabelChange, Relabelled, RemovedRow


def choices_about(text):
    """Choices in which every column is called so."""
    columns = {"text": (text,), "content": (text,), "label": text, "id": text, "source": text, "left_out": {text: "id"}}
    like = {"label_like": text, "label_values": 3, "split": text, "profile": text, "notes": (text,)}
    return Choices(form="text", **columns, **like)


def conflicts_about(text):
    """Two contents with several labels, of which one is shown."""
    shown = ConflictShown(text=text, labels={text: 9, "b": 1}, stay=(text,))
    return Conflicts(texts=2, rows=14, tied=1, listed=(shown,), near=7)


def relabelled_about(text):
    """Rows with other labels than in the input, of two kinds, of which one is shown."""
    change = LabelChange(was=text, label=text, rows=4805)
    return Relabelled(rows=4807, kinds=2, listed=(change,), column="recryst_label", original=text)


def removed_about(text):
    """A removed row."""
    said = dict.fromkeys(("id", "text", "reason", "rule", "stage", "span", "twin", "twin_text", "survivor"), text)
    return RemovedRow(score=0.5, threshold=0.25, **said)


def headline_about(sign=1):
    """What a run came to on its sealed rows; with ``sign`` −1 it did worse."""
    moved = Moved(before=0.8123, after=0.8345, difference=0.0222, error=0.0131, low=-0.0034, high=0.0478)
    if sign < 0:
        moved = Moved(before=0.8345, after=0.8123, difference=-0.0222, error=0.0051, low=-0.0323, high=-0.0121)
    raw = Moved(before=0.7001, after=0.7102, difference=0.0101, error=0.01, low=-0.0095, high=0.0297)
    probes = (ProbeMoved(name="bits_per_byte", moved=moved),)
    return Headline(rows=426, confirmed=389, groups=380, score=moved, raw=raw, probes=probes)
