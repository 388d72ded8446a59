"""What the page asks for, address by address. Reading goes through the reader, acting through the desk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from ...state.canonical import Json
from ...state.errors import RecrystError, UsageError
from ..account.selected import written
from ..browse import clusters, compared, row, story
from ..browse.meaning import Near
from ..browse.reader import Reader
from ..browse.rows import Query, Rows
from ..decide.proposals import Refusal
from ..view import View
from .beside import Beside, NewRun, Other
from .desk import Act, Desk, Said
from .guard import REPORT_POLICY, Guard
from .maps import Maps
from .owned import OwnedRuns

STATIC = Path(__file__).parent / "static"
_KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_LOOK = 0.4  # seconds between two looks at the log
_ALIVE = 15  # seconds after which a silent stream says that it is there


class Page:
    """The answers to every request. ``desk`` is the loop behind the page; without one the page only looks. ``owned``:
    the runs that are begun from it; without them none is."""

    def __init__(self, reader: Reader, desk: Desk | None = None, owned: OwnedRuns | None = None) -> None:
        self.reader, self.desk = reader, desk
        self.rows = Rows(reader)
        self.maps = Maps(reader, self.rows)
        self.beside = Beside(reader.root, owned)

    def app(self, token: str, port: int) -> ASGIApp:
        """The application, behind its guard."""
        routes = [
            Route("/", self._file),
            Route("/static/{name}", self._file),
            Route("/report", self._report),
            Route("/api/status", self._read(lambda ask: self._status(self._view(ask)))),
            Route("/api/timeline", self._read(lambda ask: story.timeline(self.reader.view()))),
            Route("/api/clusters", self._read(lambda ask: clusters.clusters(self._view(ask)))),
            Route("/api/cluster", self._read(lambda ask: clusters.cluster(self._view(ask), _whole(ask, "n")))),
            Route("/api/compared", self._read(self._compared)),
            Route("/api/rows", self._read(lambda ask: self.rows.page(_query(ask)))),
            Route("/api/facets", self._read(lambda ask: self.rows.facets(_query(ask)))),
            Route("/api/row", self._read(lambda ask: row.row(self._view(ask), _whole(ask, "n")))),
            Route("/api/brief", self._read(lambda ask: row.brief(self._view(ask), _whole(ask, "n")))),
            Route("/api/map", self._read(lambda ask: self.maps.about(_at(ask)))),
            Route("/api/map/rows", self._read(lambda ask: self.maps.positions(self._view(ask)).tobytes())),
            Route("/api/map/places", self._read(self._places)),
            Route("/api/map/codes", self._read(lambda ask: self.maps.codes(_at(ask), ask.get("by", "")))),
            Route("/api/map/found", self._read(self._found)),
            Route("/api/proposal", self._read(self._proposal)),
            Route("/api/going", self._read(self._going)),
            Route("/api/export", self._read(self._export)),
            Route("/api/selection", self._select, methods=["POST"]),
            Route("/api/runs", self._read(lambda ask: self.beside.listed())),
            self._told("near", lambda told: {"near": self.rows.meaning.place(Near.read(told))}),
            self._told("beside", lambda told: {"address": self.beside.open(Other.read(told))}),
            self._told("begin", lambda told: {"address": self.beside.begin(NewRun.read(told))}),
            Route("/api/talk", self._read(lambda ask: self._acting().conversation(_whole(ask, "from")))),
            self._told("say", lambda told: {"done": self._acting().act(Said.read(told))}),
            self._told("pause", lambda told: {"done": self._acting().pause()}),
            Route("/api/act", self._act, methods=["POST"]),
            Route("/api/live", self._live),
        ]
        return Guard(Starlette(routes=routes), token, port)

    def _view(self, ask: dict[str, str]) -> View:
        return self.reader.view(_at(ask))

    def _status(self, view: View) -> Json:
        return story.status(view) | self._desk() | {"meaning": self.rows.meaning.about(view)}

    def _desk(self) -> Json:
        return {"desk": None if self.desk is None else self.desk.state()}

    def _read(self, answer: Callable[[dict[str, str]], Json | bytes | Response]) -> Callable[[Request], Any]:
        """An endpoint that looks: ``answer`` is given the words of the query, in a thread of its own."""

        def looked(ask: dict[str, str]) -> Response:
            try:
                with self.reader.lock:
                    found = answer(ask)
            except (RecrystError, ValueError) as error:
                return JSONResponse({"error": str(error)}, 400)
            if isinstance(found, Response):
                return found
            if isinstance(found, bytes):
                return Response(found, media_type="application/octet-stream")
            return Response(orjson.dumps(found, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")

        async def endpoint(request: Request) -> Response:
            return await run_in_threadpool(looked, dict(request.query_params))

        return endpoint

    def _places(self, ask: dict[str, str]) -> bytes:
        return self.maps.places(_at(ask), ask.get("method", ""), 3 if ask.get("dimensions") == "3" else 2)

    def _found(self, ask: dict[str, str]) -> bytes:
        query = _query(ask)
        return self.rows.mask(query, self.maps.positions(self.reader.view(query.at)))

    def _proposal(self, ask: dict[str, str]) -> Json:
        """The proposal that waits, with what an answer to it has to name; both are of one moment."""
        if self.desk is None:
            return {"waiting": None}
        waiting, named = self.desk.waiting, self.desk.state()["waiting"]
        return {"waiting": named, "proposal": None if waiting is None or named is None else story.proposal(waiting)}

    def _going(self, ask: dict[str, str]) -> Json:
        waiting = None if self.desk is None else self.desk.waiting
        if waiting is None:
            raise UsageError("nothing waits for an answer")
        asked = {"id": ask.get("id", ""), "offset": _whole(ask, "offset"), "limit": min(500, _whole(ask, "limit"))}
        return story.going(self.reader.view(), waiting, asked)

    def _compared(self, ask: dict[str, str]) -> Json:
        """The rounds that can be compared; and where one is named ``with``, what became of its clusters."""
        now = self._view(ask)
        listed = {"moments": compared.moments(now)}
        if not ask.get("with"):
            return listed
        return listed | compared.compared(self.reader.view(_whole(ask, "with")), now)

    def _export(self, ask: dict[str, str]) -> Response:
        query = _query(ask)
        how = ask.get("as", "jsonl"), ask.get("method", "")
        data, kind, name = written(self.reader.view(query.at), self.rows.found(query), *how)
        return Response(data, media_type=kind, headers={"content-disposition": f'attachment; filename="{name}"'})

    async def _file(self, request: Request) -> Response:
        path = STATIC / request.path_params.get("name", "index.html")
        if path.parent != STATIC or path.suffix not in _KINDS or not path.is_file():
            return JSONResponse({"error": "there is no such file"}, 404)
        return FileResponse(path, media_type=_KINDS[path.suffix])

    async def _report(self, request: Request) -> Response:
        path = self.reader.view().run.report
        if not path.is_file():
            return JSONResponse({"error": "the report is written when the run ends"}, 404)
        return FileResponse(path, media_type="text/html", headers={"content-security-policy": REPORT_POLICY})

    async def _live(self, request: Request) -> Response:
        """Server-sent events: one whenever the log has grown, or the loop behind the page has come further."""

        async def events() -> AsyncIterator[bytes]:
            before, silent = b"", 0.0
            while not await request.is_disconnected():
                now = orjson.dumps({"log": self.reader.size(), **self._desk()})
                if now != before or silent > _ALIVE:
                    yield b"data: " + now + b"\n\n"
                    before, silent = now, 0.0
                await asyncio.sleep(_LOOK)
                silent += _LOOK

        return StreamingResponse(events(), media_type="text/event-stream")

    async def _select(self, request: Request) -> Response:
        try:
            return JSONResponse({"selection": self.rows.select(await request.body())})
        except UsageError as error:
            return JSONResponse({"error": str(error)}, 400)

    def _acting(self) -> Desk:
        """The loop behind the page.

        Raises:
            UsageError: there is none.
        """
        if self.desk is None:
            raise UsageError(self._only_looks())
        return self.desk

    def _told(self, name: str, answer: Callable[[Json], Json]) -> Route:
        """The address of what is told something in JSON, and changes nothing of the run itself."""

        async def endpoint(request: Request) -> Response:
            try:
                return JSONResponse(await run_in_threadpool(answer, orjson.loads(await request.body())))
            except (RecrystError, Refusal, orjson.JSONDecodeError) as error:
                return JSONResponse({"error": str(error)}, 400)

        return Route(f"/api/{name}", endpoint, methods=["POST"])

    def _only_looks(self) -> str:
        return f"this page only looks; `recryst chat {self.reader.root} --page` acts"

    async def _act(self, request: Request) -> Response:
        if self.desk is None:
            return JSONResponse({"error": self._only_looks()}, 409)
        try:
            act = Act.read(orjson.loads(await request.body()))
            return JSONResponse({"done": await run_in_threadpool(self.desk.act, act)})
        except (Refusal, orjson.JSONDecodeError) as refusal:
            return JSONResponse({"error": str(refusal)}, 409)
        except RecrystError as error:
            return JSONResponse({"error": str(error)}, 500)


def _query(ask: dict[str, str]) -> Query:
    """The rows that a request asks for.

    Raises:
        UsageError: it is not a query.
    """
    try:
        return Query.read(orjson.loads(ask.get("q", "{}")))
    except (Refusal, orjson.JSONDecodeError) as error:
        raise UsageError(f"that is no query: {error}") from error


def _whole(ask: dict[str, str], name: str) -> int:
    """A whole number of a request; 0 where it names none.

    Raises:
        UsageError: it is none.
    """
    try:
        return int(ask.get(name, "0"))
    except ValueError as error:
        raise UsageError(f"{name} is a whole number") from error


def _at(ask: dict[str, str]) -> int | None:
    return _whole(ask, "at") if ask.get("at") else None
