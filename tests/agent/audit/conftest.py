"""One run in which nearly everything happens, for all forgers."""

import pytest
from forger import Forger, copied
from storied import storied_run


@pytest.fixture(scope="session")
def storied(once):
    """The directory of the run; it is only read."""

    return once("storied", storied_run) / "run"


@pytest.fixture(scope="module")
def forger(storied, tmp_path_factory):
    """A forger of a copy of that run, who remembers what was derived."""
    forger = Forger(copied(storied, tmp_path_factory.mktemp("forged") / "run"))
    with forger.remembering():
        yield forger
