"""The maps of a run: PCA in the loop, the others beside it, whoever draws them."""

import polars as pl

import recryst
from recryst.agent.view import View
from recryst.state.events import Draw, Publish, Reduce

ROWS = [
    {"text": f"{topic} {word} number {number}", "group": topic}
    for topic, words in {"animal": "cat dog horse", "meal": "bread soup rice", "sky": "rain wind snow"}.items()
    for word in words.split()
    for number in range(12)
]


def maps_of(folder, cores, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", str(cores))
    run = recryst.refine(
        pl.DataFrame(ROWS), out=folder, quiet=True, max_rounds=1, label_column="group",
        train={"enabled": False}, reduce={"methods": ["pca", "tsne"]},
    )  # fmt: skip
    assert run.audit().failures == []


def test_they_are_the_same_whether_another_process_draws_them_or_this_one(tmp_path, monkeypatch):
    for cores in (1, 2):
        maps_of(tmp_path / str(cores), cores, monkeypatch)
    views = [View.open(tmp_path / cores) for cores in "12"]
    drawn = [[event for event in view.events if isinstance(event, Draw)] for view in views]
    assert [len(events) for events in drawn] == [1, 1]
    assert len({events[0].state.artefacts["maps"] for events in drawn}) == 1
    assert list(drawn[0][0].trustworthiness) == ["tsne_2d"]
    frame = views[0].frame("maps")
    assert frame.columns == [
        "row",
        "pca_2d_x",
        "pca_2d_y",
        "pca_3d_x",
        "pca_3d_y",
        "pca_3d_z",
        "tsne_2d_x",
        "tsne_2d_y",
    ]
    kinds = [type(event) for event in views[0].events]
    assert kinds.index(Reduce) < kinds.index(Draw) < kinds.index(Publish)
