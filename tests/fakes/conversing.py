"""A person's conversation with a run, without the terminal."""

import contextlib

from recryst.agent.chat.commands import COMMANDS, carry_out, read
from recryst.agent.chat.conversation import Conversation
from recryst.agent.cli.progress import Reporter
from recryst.agent.graph import placed
from recryst.agent.session import Session
from recryst.state.log import read_log
from recryst.state.run import RunDirectory
from recryst.state.settings import load_config

SETTINGS = [
    *("approve=true", "train.enabled=false", "stop.max_rounds=50", "policy=rules", "critic=rules"),
    *("load.vector_column=vector", "load.label_column=label", "load.id_column=id"),
    *("reduce.methods=[pca]", "score.bootstraps=2", "cluster.k=6"),
]


def create(data, root, *settings):
    """A run of rows that come with vectors, labels and ids, to be talked about; returns its directory."""
    return RunDirectory.create(root, str(data), load_config(None, [*SETTINGS, *settings])).root


@contextlib.contextmanager
def conversation(root, who=""):
    """Come back to a run, as ``recryst chat --as WHO`` does."""
    directory = RunDirectory.open(root)
    with directory.lock():
        session = Session(directory, Reporter(quiet=True))
        session.start()
        with placed(session) as cycle:
            cycle.go_on()
            talk = Conversation(session, cycle, who)
            talk.shown()
            yield talk


def say(talk, *lines):
    """Type commands, seeing each proposal before the next one."""
    for line in lines:
        command, *words = line.split()
        carry_out(talk, COMMANDS[command], read(COMMANDS[command], words), "person")
        talk.shown()


def steps(root):
    """The events of the steps that were carried out."""
    return [event for event in read_log(root / "events.jsonl")[0] if event.state is not None]
