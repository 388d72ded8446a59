"""Sending files to a hub, by its own client: the one place of Recryst that gives data away, and only when it is called.

The client's storage protocol Xet is off: it speaks to another host that the hub names, through a compiled client that
keeps caches and logs of its own, where plain uploads are one way that can be watched and tested. Every hub takes those.
"""

import contextlib
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from ....state.errors import HubError, IntegrityError, UsageError, storage_error
from ....state.phrases import Advance, silent
from ...vectors.vendors import is_loopback

_OURS = re.compile(r"curated/[^/]+\.parquet|[^/]+\.(safetensors|gguf)")  # what an earlier push may have left


@dataclass(frozen=True)
class Parcel:
    """What goes into one repository: path in it → the file here, and the SHA-256 that it must have."""

    kind: Literal["dataset", "model"]
    files: Mapping[str, tuple[Path, str]]

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(path.stat().st_size for path, _ in self.files.values())


def connect(endpoint: str | None = None) -> Any:
    """The client (``HfApi``) of the hub at ``endpoint``, or of the one that the client itself knows (``HF_ENDPOINT``).

    Nothing is asked of the hub. The token is the client's own: of ``HF_TOKEN``, or of ``hf auth login``.

    Raises:
        UsageError: there is no token, or the address is none to send one to.
    """
    from huggingface_hub import HfApi, get_token

    api = HfApi(endpoint=endpoint)
    parts = urlsplit(api.endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.query:
        raise UsageError("the address of the hub must read https://HOST, without user, password or query")
    if parts.scheme == "http" and not is_loopback(api.endpoint):
        raise UsageError(f"{api.endpoint} would get the token unencrypted: name an https:// address")
    api.token = get_token()
    if not api.token:
        raise UsageError(f"there is no token for {api.endpoint}: set HF_TOKEN, or log in with `hf auth login`")
    return api


def check_name(repo: str) -> None:
    """Whether a repository can have that name.

    Raises:
        UsageError: it cannot, or names no owner.
    """
    from huggingface_hub import utils
    from huggingface_hub.errors import HFValidationError

    client: Any = utils  # which lists no exports
    try:
        client.validate_repo_id(repo)
    except HFValidationError as error:
        raise UsageError(f"{repo!r} is no name of a repository: it must read OWNER/NAME") from error
    if "/" not in repo:
        raise UsageError(f"{repo!r} names no owner: it must read OWNER/NAME")


def address_of(api: Any, repo: str, parcel: Parcel) -> str:
    """Where a person finds a repository."""
    return f"{api.endpoint}/{'datasets/' if parcel.kind == 'dataset' else ''}{repo}"


def upload(api: Any, repo: str, parcel: Parcel, private: bool, advance: Advance = silent) -> None:
    """Send a parcel into a repository, made if absent, as one commit; what stands there already is not sent again.

    Tables and weights that an earlier push left there and that are not in the parcel go with the same commit. A push
    that was interrupted is made good by another: the files that arrived are kept by the hub for it.

    Args:
        api: as ``connect`` gives it.
        private: the repository is made so; one that is there and public is then not used.
        advance: told the bytes of each file.

    Raises:
        HubError: the hub refused, could not be reached or did not take a file.
        IntegrityError: a file does not have its hash.
        UsageError: the repository is public.
        StorageError: a file cannot be read.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    here: dict[str, Any] = {"repo_id": repo, "repo_type": parcel.kind}
    where = address_of(api, repo, parcel)
    with _plain_client(), _in_words(where):
        api.create_repo(**here, private=private, exist_ok=True)
        there = api.repo_info(**here)
        if private and not there.private:
            raise UsageError(f"{where} is there and public: say --public, or name another repository")
        operations: list[Any] = []
        for name, (path, sha) in sorted(parcel.files.items()):
            added = CommitOperationAdd(path_in_repo=name, path_or_fileobj=path)
            if added.upload_info.sha256.hex() != sha:
                raise IntegrityError(f"{path} was changed: it does not have the hash in the log")
            api.preupload_lfs_files(repo, [added], repo_type=parcel.kind)
            operations.append(added)
            advance(added.upload_info.size)
        left = {file.rfilename for file in there.siblings or ()} - parcel.files.keys()
        operations += [CommitOperationDelete(path_in_repo=name) for name in sorted(left) if _OURS.fullmatch(name)]
        api.create_commit(**here, operations=operations, commit_message=f"The {parcel.kind} of a run of Recryst")
        taken = {file.rfilename for file in api.repo_info(**here).siblings or ()}
        if lacking := sorted(parcel.files.keys() - taken):
            raise HubError(f"{where} did not take {lacking[0]}: look for a .gitignore there, then push again")


@contextlib.contextmanager
def _plain_client() -> Iterator[None]:
    """The client without Xet, and without bars, warnings and lines of its own."""
    import huggingface_hub.constants as constants
    from huggingface_hub import utils

    client: Any = utils  # which lists no exports
    xet, level = constants.HF_HUB_DISABLE_XET, client.logging.get_verbosity()
    bars = not client.are_progress_bars_disabled()
    constants.HF_HUB_DISABLE_XET = True
    client.logging.set_verbosity_error()
    client.disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        constants.HF_HUB_DISABLE_XET = xet
        client.logging.set_verbosity(level)
        if bars:
            client.enable_progress_bars()


_REFUSALS = {
    401: "does not know the token: set HF_TOKEN to one that may write, or log in with `hf auth login`",
    403: "is not open to the token: it needs leave to write there",
    404: "is not there, or not for this token",
    409: "was changed by somebody else at the same time: push again",
    412: "was changed by somebody else at the same time: push again",
}


@contextlib.contextmanager
def _in_words(where: str) -> Iterator[None]:
    """What goes wrong between the client and the hub, as one sentence."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except (OSError, ValueError, RuntimeError, LookupError) as error:
        found = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error  # of one upload
        if isinstance(found, HfHubHTTPError):
            status = found.response.status_code
            said = _REFUSALS.get(status, "refused, or cannot answer now: push again later")
            raise HubError(f"{where} {said} ({status})") from error
        if isinstance(found, OSError) and found.filename is not None:
            raise storage_error(found, found.filename, "reading") from error
        if isinstance(found, RuntimeError):
            raise
        if isinstance(found, ValueError | LookupError):
            what = " ".join(str(found).split())[:200]
            raise HubError(f"{where} gave an answer that its client cannot use: {what}") from error
        raise HubError(_unreachable(where, found)) from error
    except Exception as error:
        # Which library carries the requests changed between releases of the client.
        if type(error).__module__.partition(".")[0] not in ("httpx", "httpx2", "httpcore", "httpcore2", "requests"):
            raise
        raise HubError(_unreachable(where, error)) from error


def _unreachable(where: str, error: BaseException) -> str:
    late = "Timeout" in type(error).__name__
    why = "it did not answer in time" if late else " ".join(str(error).split())[:200] or type(error).__name__
    return f"{where} could not be reached: {why}; push again when it can"
