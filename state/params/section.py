"""What every section of the configuration is made of."""

from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict


class Section(BaseModel):
    """A frozen group of settings that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Option:
    """Marks a key that has a short name: an option of the commands that start a run, a keyword of the Python API.

    ``group`` says which commands take it: ``run`` and ``model`` all of them, ``data`` those that are told what to read.
    ``name``: where it is not the key's own. ``file``: the value is the path of a file that must be there. ``text``: it
    is read by the key, not by the command line.
    """

    group: Literal["data", "run", "model"]
    name: str = ""
    metavar: str | None = None
    file: bool = False
    text: bool = False


def _address(value: str | None) -> str | None:
    """A server's address; a name and password in it would be written into the run."""
    if value is None:
        return None
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must begin with http:// or https:// and name a host")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must not hold a name, a password or a query; keys belong in the environment")
    return value


Address = Annotated[str | None, AfterValidator(_address)]
