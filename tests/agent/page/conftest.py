"""A page of a small real run, served to this machine, and a client that is no browser."""

import contextlib
import http.client
import json
import shutil
import threading
import time
import urllib.parse
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from browsing import started
from conversing import conversation, create, say
from hostile import HOSTILE

from recryst.agent.cli.progress import Telling
from recryst.agent.page.desk import Desk
from recryst.agent.page.owned import OwnedRuns
from recryst.agent.page.serve import server
from recryst.state.run import RunDirectory

CHANNEL = "<i>channel</i>"  # a column of the data with a name that a careless page would take for markup


class Client:
    """Asks as a browser would, or not."""

    def __init__(self, address):
        split = urllib.parse.urlsplit(address)
        self.host, self.token = split.netloc, urllib.parse.parse_qs(split.query)["token"][0]
        self.cookie = f"recryst-{split.port}={self.token}"

    def ask(self, path, body=None, **headers):
        """Status, headers and content, with cookie and origin unless ``headers`` say otherwise (None: without)."""
        own = {"Cookie": self.cookie, "Host": self.host}
        own |= {} if body is None else {"Origin": f"http://{self.host}", "Content-Type": "application/json"}
        sent = {name.replace("_", "-"): value for name, value in {**own, **headers}.items() if value is not None}
        connection = http.client.HTTPConnection(self.host, timeout=60)
        with contextlib.closing(connection):
            data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            connection.putrequest("GET" if body is None else "POST", path, skip_host=True)
            for name, value in sent.items():
                connection.putheader(name, value)
            if data is not None:
                connection.putheader("Content-Length", str(len(data)))
            connection.endheaders(data)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def get(self, path, **words):
        """The JSON, or the bytes, at an address."""
        status, headers, content = self.ask(f"{path}?{urllib.parse.urlencode(words)}")
        assert status == 200, content
        return json.loads(content) if headers["content-type"] == "application/json" else content

    def rows(self, **query):
        """The rows that a query finds."""
        return self.get("/api/rows", q=json.dumps(query))

    def waits(self):
        """What waits, once the loop has come to it: what an answer names, and the proposal."""
        for _ in range(600):
            if (found := self.get("/api/proposal"))["waiting"] is not None:
                return found["waiting"], found["proposal"]
            desk = self.get("/api/status")["desk"]
            assert not desk["failed"], desk["failed"]
            if desk["ended"]:
                return None, None
            time.sleep(0.05)
        raise AssertionError("nothing waits")

    def act(self, waiting, answer, **more):
        """Status and sentence of an answer to what ``waiting`` names."""
        status, _, content = self.ask("/api/act", {**waiting, "answer": answer, **more})
        return status, json.loads(content)


@pytest.fixture
def browser():
    """A person's browser; the test is skipped where there is none."""
    with started() as found:
        yield found


@pytest.fixture
def serving():
    """Serve the page of a run: ``serving(root)`` to look, ``serving(root, acts=True)`` with the loop behind it."""
    with contextlib.ExitStack() as stack:

        def begin(root, acts=False, who="", show_rows=False):
            desk = owned = None
            if acts:
                directory = RunDirectory.open(root)
                stack.enter_context(directory.lock())
                desk = Desk(directory, Telling(quiet=True), who, show_rows)
                owned = OwnedRuns(who, show_rows)
                stack.callback(owned.leave, 60)
            served, listening, address = server(root, desk, owned)
            thread = threading.Thread(target=served.run, kwargs={"sockets": [listening]}, daemon=True)
            if desk is not None:
                desk.start()
                stack.callback(desk.leave, 60)
            thread.start()

            def end():
                served.should_exit = True
                thread.join(10)
                listening.close()

            stack.callback(end)
            client = Client(address)
            client.address = address
            return client

        yield begin


@pytest.fixture(scope="session")
def crude_rows(tmp_path_factory):
    """150 rows in six groups with vectors; some labels wrong, five texts and a label hostile."""
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 6, 150)
    vectors = rng.standard_normal((6, 8))[groups] + 0.4 * rng.standard_normal((150, 8))
    texts = [HOSTILE[n] if n < len(HOSTILE) else f"okapi {n} of quagga {group}" for n, group in enumerate(groups)]
    labels = [f"tapir{(group + (n % 11 == 7)) % 6}" for n, group in enumerate(groups)]
    labels[0] = "<b>tapir</b>"
    frame = pl.DataFrame(
        {"id": [f"zebra-{n}" for n in range(150)], "text": texts, "label": labels, "vector": vectors.tolist()}
    ).with_columns(
        pl.Series(CHANNEL, [("<u>post</u>", "phone", None)[n % 3] for n in range(150)]),
        pl.Series("weight", [n / 10 for n in range(150)]),
        pl.Series("day", [date(2024, 1, 1) + timedelta(days=n) for n in range(150)]),
    )
    path = tmp_path_factory.mktemp("crude") / "rows.parquet"
    frame.write_parquet(path)
    return path


@pytest.fixture(scope="session")
def begun(crude_rows, tmp_path_factory):
    """A run that waits with its first proposal."""
    root = create(crude_rows, tmp_path_factory.mktemp("begun") / "run")
    with conversation(root):
        pass
    return root


@pytest.fixture
def thinking(crude_rows, tmp_path, script):
    """A run whose language model decides; before each choice but the first it thinks until ``thought`` is set."""
    thought, decided = threading.Event(), []

    def policy(question):
        decided.append(question)
        assert len(decided) == 1 or thought.wait(60)
        return {}

    model = script(lambda question: policy(question) if question["kind"] == "decide" else {}).model
    settings = (f"llm.model={model}", "policy=llm", "llm.looks=0", "stop.patience=50")
    root = create(crude_rows, tmp_path / "run", *settings)
    with conversation(root):
        pass
    yield root, thought
    thought.set()


@pytest.fixture(scope="session")
def thinned(begun, tmp_path_factory):
    """The same, with half of the rows of two clusters taken out by a person."""
    root = shutil.copytree(begun, tmp_path_factory.mktemp("thinned") / "run")
    with conversation(root) as talk:
        say(talk, "/prune 0,1 furthest 0.5", "/yes")
        if talk.proposal.rolled_back is not None:
            say(talk, "/keep")
    return root


@pytest.fixture
def root(begun, tmp_path):
    """A copy of it, to go on with."""
    return shutil.copytree(begun, tmp_path / "run")
