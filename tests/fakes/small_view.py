"""A run in miniature, made by ``derive`` alone: no loop, no session, no model. Each step gives the next view."""

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from recryst.agent.decide.facts import rows_key
from recryst.agent.steps.base import Plain
from recryst.agent.steps.clean import Clean, Filter
from recryst.agent.steps.deciding.decide import Decide
from recryst.agent.steps.describe import Cluster, Critique, Embed, Score, _Vectors
from recryst.agent.steps.experiment import Act, Baseline, Measure, _Begun, _Instruments, _Measured
from recryst.agent.steps.load import Load, Loaded
from recryst.agent.steps.maps import Reduce, _Maps
from recryst.agent.steps.measured import Embedded, KeptRows, cluster_rows, missing_rows, resolved, score_rows
from recryst.agent.steps.repeats import Dedup, HoldOut
from recryst.agent.steps.rows.appraise import Appraise
from recryst.agent.steps.rows.evidence import Evidence, _Found, gathered
from recryst.agent.view import View
from recryst.state.events import EVENT
from recryst.state.run import RunDirectory
from recryst.state.settings import parse_config
from recryst.state.store import Store
from recryst.state.values import RunState, Values
from recryst.tools.vectors.neighbors import neighbor_graph

ROWS = 90

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu"]


def texts(count, seed=0):
    """Sentences of which none nearly repeats another."""
    rng = np.random.default_rng(seed)
    return [f"Sentence {n}: {' '.join(rng.choice(WORDS, 12))} and so on." for n in range(count)]


class SmallRun:
    """Makes views over a folder; ``put`` stores contents as a session does."""

    def __init__(self, root, rows, labels=None, sources=None, **config):
        self.run = RunDirectory(root)
        self.config = parse_config(config, "the test")
        self.store = Store(self.run.artifacts)
        columns = {"row": pl.Series(range(len(rows)), dtype=pl.UInt32), "id": [f"r{n}" for n in range(len(rows))]}
        nothing = pl.Series([None] * len(rows), dtype=pl.String)
        told = {"text": rows, "content": nothing, "empty_answer": nothing.cast(pl.Boolean)}
        named = {"label": nothing if labels is None else labels, "source": sources or nothing}
        self.rows = pl.DataFrame({**columns, **told, **named})
        self.known = {"label_column": None if labels is None else "label", "source_column": sources and "source"}

    def put(self, role, content):
        if isinstance(content, pl.DataFrame):
            return self.store.put_frame(content)
        if isinstance(content, np.ndarray):
            return self.store.put_array(content)
        return self.store.put_json(content.value) if isinstance(content, Plain) else content

    def begun(self):
        """The view before anything was read."""
        return View(self.run, self.store, self.config, RunState(), ())

    def loaded(self, originals=None):
        """The view after the rows were read, of ``originals`` if they are more than the text."""
        originals = self.rows.select("row", "text") if originals is None else originals
        with self.store.scratch() as folder:
            pq.write_table(originals.to_arrow(), folder / "originals.parquet")
            originals = self.store.adopt(folder / "originals.parquet")
        known = {"shape": "text", **self.known}
        values = Values(text_column="text", text_columns=("text",), notes=(), quarantined=0, **known)
        fields = {"input_sha256": None, "duplicate_ids": 0, "scrubbed": None}
        return self.step(
            self.begun(), Load(), Loaded(self.store.put_frame(self.rows), {"originals": originals}, values, fields)
        )

    def event(self, view, step, measured=None):
        """The event that a step makes of a view and a measurement."""
        envelope = {"seq": view.seq, "prev_hash": "", "run_id": "r", "ts": "t", "type": step.name, "seconds": 0.0}
        return EVENT.validate_python({**step.derive(view, measured).event(view, self.put), **envelope})

    def step(self, view, step, measured=None):
        """The view after a step, from its measurement."""
        event = self.event(view, step, measured)
        return View(self.run, self.store, self.config, view.state.after(event), (*view.events, event))

    def holding(self, view, **contents):
        """The view with these artefacts, as if a step had put them there."""
        refs = {role: self.put(role, content) for role, content in contents.items()}
        state = view.state.model_copy(update={"artefacts": {**view.state.artefacts, **refs}})
        return View(self.run, self.store, self.config, state, view.events)

    def put_values(self, view, **values):
        """The view with these values, as if a step had set them."""
        state = view.state.model_copy(update={"values": view.values.model_copy(update=values)})
        return View(self.run, self.store, self.config, state, view.events)


def ignored(done):
    """Nobody listens."""


def place_nothing(texts):
    """No text is placed in these rounds."""
    raise AssertionError(texts)


class Round(SmallRun):
    """Rounds of rows that stand in three groups, with labels that follow the groups."""

    def __init__(self, root, short=(), **config):
        """``short``: rows of nine words instead of seventeen."""
        rng = np.random.default_rng(0)
        self.group = rng.integers(0, 3, ROWS)
        self.group[1] = self.group[0]  # rows with other labels are no copies
        vectors = np.eye(3, 6)[self.group] + 0.2 * rng.standard_normal((ROWS, 6))
        vectors[1] = vectors[0]  # two rows that say the same
        self.vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        settings = {
            "cluster": {"k": 3},
            "score": {"bootstraps": 2},
            "semantic": {"cosine": 0.9999},
            "reduce": {"methods": ["pca"]},
        }
        rows = texts(ROWS)
        rows[1] = rows[1].replace("1", "0")  # no number tells the two apart
        for n in short:
            rows[n] = " ".join(rows[n].split()[:9])
        super().__init__(root, rows, labels=[f"g{n}" for n in self.group], **{**settings, **config})

    def held_out(self):
        view = self.loaded()
        for step in (Clean(), Filter(), Dedup(), HoldOut()):
            view = self.step(view, step)
        return view

    def lacking(self, view, rows):
        """What those of ``rows`` that are not in the pool would be embedded as."""
        missing = missing_rows(view, rows)
        if not len(missing):
            return None
        pool = np.union1d(view.array("pool"), missing) if view.has("pool") else missing
        graph = neighbor_graph(self.vectors[pool], self.config.neighbors, 0)
        return Embedded(self.vectors[missing], graph, len(missing))

    def embedded(self, view):
        pool = self.lacking(view, view.kept())
        anchor = None if view.has("anchor_vectors") else self.vectors[view.anchor()]
        return self.step(view, Embed(), _Vectors(pool, anchor, pool.embedded if pool else 0, 0))

    def described(self, view):
        view = self.embedded(view)
        view = self.step(view, Cluster(), Cluster().measure(None, view, ignored))
        maps = None
        if view.values.maps_of is None:
            pool = view.array("pool")
            axes = {
                f"pca_{name}_{axis}": self.vectors[pool, 0] for name in ("2d", "3d") for axis in "xyz"[: int(name[0])]
            }
            maps = _Maps(pl.DataFrame(axes), {"pca_2d": 0.9}, 0)
        view = self.step(view, Reduce(), maps)
        scores = score_rows(view, KeptRows.of(view), self.clustered(view), view.clustering, ignored)
        view = self.step(view, Score(), scores)
        if Baseline().due(view):
            held_out = pl.DataFrame({"row": view.anchor()})
            view = self.step(view, Baseline(), _Begun(scores, self.met(view, 0.5), 0.0, held_out))
        fresh = view.values.evidence_of != rows_key(view, view.kept())
        view = self.step(view, Evidence(), _Found(gathered(view)) if fresh else None)
        view = self.step(view, Critique())
        if Appraise().due(view):
            view = self.step(view, Appraise(), Appraise().measure(None, view, ignored))
        return self.step(view, Decide())

    def met(self, view, share):
        """Scores of two probes that meet a share of the held-out rows, the first of them."""
        met = (np.arange(len(view.anchor())) < share * len(view.anchor())).astype(float)
        return np.stack([met, met])

    def clustered(self, view):
        return cluster_rows(view, KeptRows.of(view), view.clustering, view.array("centroids"))

    def acted(self, view):
        return self.step(view, Act(), _Instruments(place_nothing, lambda rows, vectors: self.lacking(view, rows)))

    def measured(self, view, met=0.5):
        """The view once the trial was measured, by probes that meet a share of the held-out rows."""
        wanted, kept = view.trial.clustering, KeptRows.of(view, "trial_ledger")
        clustered = cluster_rows(view, kept, wanted, view.array("centroids"))
        params = resolved(wanted, clustered.result)
        scores = score_rows(view, kept, clustered, params, ignored)
        return self.step(view, Measure(), _Measured(scores, self.met(view, met), 0.0, clustered, params))

    def choosing(self, view, action):
        """The view as if the policy had chosen ``action``, whose id is the first candidate's; the log says so, too."""
        *before, event = view.events
        decision = view.decision.model_copy(update={"action": action, "candidate": event.candidates[0].id})
        values = event.state.values.model_copy(update={"decision": decision})
        event = event.model_copy(update={"state": event.state.model_copy(update={"values": values})})
        state = self.put_values(view, decision=decision).state
        return View(self.run, self.store, self.config, state, (*before, event))


FLIPPED = (5, 17, 33, 52)  # rows of a ``flipped_round`` with the label of another group


def flipped_round(root, **config):
    """Rows in three groups, of which four carry the label of another; one of them is held out."""
    run = Round(root, **config)
    labels = [f"g{(group + (row in FLIPPED)) % 3}" for row, group in enumerate(run.group)]
    run.rows = run.rows.with_columns(label=pl.Series(labels))
    return run
