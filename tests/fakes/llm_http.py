"""HTTP for the fake server: which address asks for what, how answers go out, and how connections break."""

import contextlib
import json
import re
import socket
import struct
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from llm_faults import Failure
from llm_vendors import WIRES
from llm_wire import CREATED, STAMP, Asked, Refused, digest, embeddings, need


class Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    fake: Any  # the LlmServer

    def __init__(self, *arguments: Any) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has given up is no error of the server's."""

    def end_connections(self) -> None:
        for request in list(self._open):
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Http
    ROUTES = (
        ("POST", r"/v1/messages", "chat", "anthropic"),
        ("POST", r"/v1/chat/completions", "chat", "openai"),
        ("POST", r"/api/chat", "chat", "ollama"),
        ("POST", r"/v1/messages/count_tokens", "count", "anthropic"),
        ("POST", r"/v1/embeddings", "embed", "openai"),
        ("POST", r"/api/embed", "embed", "ollama"),
        ("POST", r"/v1/messages/batches", "batch", "anthropic"),
        ("GET", r"/v1/messages/batches/(?P<name>[\w-]+)", "poll", "anthropic"),
        ("GET", r"/v1/messages/batches/(?P<name>[\w-]+)/results", "results", "anthropic"),
        ("POST", r"/v1/files", "file", "openai"),
        ("GET", r"/v1/files/(?P<name>[\w-]+)/content", "content", "openai"),
        ("POST", r"/v1/batches", "batch", "openai"),
        ("GET", r"/v1/batches/(?P<name>[\w-]+)", "poll", "openai"),
    )

    def do_GET(self) -> None:
        self.route()

    def do_POST(self) -> None:
        self.route()

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def route(self) -> None:
        data = self.rfile.read(int(self.headers.get("content-length", 0)))
        path = self.path.split("?")[0]
        for method, pattern, kind, provider in self.ROUTES:
            if method == self.command and (match := re.fullmatch(pattern, path)):
                self.take(kind, provider, data, **match.groupdict())
                return
        self.send(404, {"error": {"type": "not_found_error", "message": f"{self.command} {path} is not spoken here"}})

    def take(self, kind: str, provider: str, data: bytes, name: str = "") -> None:
        fake, wire = self.server.fake, WIRES[provider]
        headers = {key.lower(): value for key, value in self.headers.items()}
        body = json.loads(data) if data and kind != "file" else {}
        asked = Asked(provider, {"poll": "batch", "results": "batch"}.get(kind, kind), body=body, headers=headers)
        try:
            if kind in ("chat", "count"):
                tolerant = {"max_tokens": 1, **body} if kind == "count" else body
                asked = replace(wire.asked(tolerant, headers), kind=kind, body=body)
            failure = fake.record(asked)
            if kind == "chat":
                answer, failure = fake.answer(asked, failure)
                if failure is not None and failure.what == "stream_error" and not body.get("stream"):
                    failure = Failure(500)
                if failure is None or failure.what in ("reset", "cut", "drip", "stream_error"):
                    self.say(asked, wire.whole(asked, *fake.bill(asked, answer)), failure)
                    return
            if failure is not None:
                self.fault(provider, failure)
                return
            getattr(self, f"take_{kind}")(provider, data, body, name)
        except Refused as refused:
            if asked.messages == ():
                fake.record(asked)
            self.send(400, wire.error(400, str(refused)))

    # Good answers

    def say(self, asked: Asked, whole: dict[str, Any], failure: Failure | None) -> None:
        """An answer, whole or streamed, or its first half and then the fault."""
        streamed = bool(asked.body.get("stream"))
        what = None if failure is None else failure.what
        if not streamed:
            data = json.dumps(whole).encode()
            self.head(200, "application/json", length=len(data))
            self.wfile.write(data if what is None else data[: len(data) // 2])
            if what is not None:
                self.hurt(str(what))
            return
        kind = "application/x-ndjson" if asked.provider == "ollama" else "text/event-stream"
        self.head(200, kind)
        usage = bool(asked.body.get("stream_options", {}).get("include_usage"))
        parts = list(WIRES[asked.provider].stream(whole, usage))
        for part in parts if what is None else parts[: len(parts) // 2]:
            self.chunk(part)
        if what == "stream_error":
            self.chunk(WIRES[asked.provider].stream_error())
        elif what in ("reset", "drip"):
            self.hurt(str(what))
        # A stream that is `cut` ends as properly as HTTP can tell, with its last events missing.
        self.chunk(b"")

    def take_count(self, provider: str, data: bytes, body: dict[str, Any], name: str) -> None:
        self.send(200, {"input_tokens": self.server.fake.tokens(json.dumps(body, ensure_ascii=False))})

    def take_embed(self, provider: str, data: bytes, body: dict[str, Any], name: str) -> None:
        fake = self.server.fake
        tokens = fake.tokens(json.dumps(body["input"]))
        self.send(200, embeddings(provider, body, fake.dimensions, tokens))

    def take_file(self, provider: str, data: bytes, body: dict[str, Any], name: str) -> None:
        boundary = self.headers["content-type"].split("boundary=")[1].strip('"').encode()
        parts = [part.partition(b"\r\n\r\n") for part in data.split(b"--" + boundary)]
        content = {re.search(rb'name="(\w+)"', head)[1]: rest[:-2] for head, _, rest in parts if b"name=" in head}
        need(content.get(b"purpose") == b"batch", "purpose: batch is what is spoken here")
        made = {"object": "file", "bytes": len(content[b"file"]), "created_at": CREATED, "filename": "batch.jsonl"}
        self.send(
            200, {**made, "id": self.server.fake.file(content[b"file"]), "purpose": "batch", "status": "processed"}
        )

    def take_content(self, provider: str, data: bytes, body: dict[str, Any], name: str) -> None:
        content = self.server.fake.read_file(name)
        self.send(
            404 if content is None else 200, content if content is not None else WIRES[provider].error(404, "gone")
        )

    def take_batch(self, provider: str, data: bytes, body: dict[str, Any], name: str) -> None:
        fake = self.server.fake
        if provider == "anthropic":
            asked = {item["custom_id"]: item["params"] for item in body["requests"]}
            need(all(re.fullmatch(r"[\w-]{1,64}", key) for key in asked), "custom_id: 1 to 64 letters and digits")
            need(len(asked) == len(body["requests"]), "custom_id: not unique")
        else:
            need(body["endpoint"] == "/v1/chat/completions" and body["completion_window"] == "24h", "endpoint")
            lines = [json.loads(line) for line in (fake.read_file(body["input_file_id"]) or b"").splitlines()]
            need(bool(lines) and all(line["url"] == body["endpoint"] for line in lines), "input_file_id")
            asked = {line["custom_id"]: line["body"] for line in lines}
        self.send(200, self.batch_object(provider, fake.batch({"asked_for": asked, "done": False})))

    def take_poll(self, provider: str, data: bytes, body: dict[str, Any], name: str) -> None:
        batch = self.server.fake.poll(name)
        if batch is None:
            self.send(404, WIRES[provider].error(404, "no such batch"))
            return
        if batch["done"] and "answers" not in batch:
            answered = {key: self.server.fake.one_of_batch(provider, one) for key, one in batch["asked_for"].items()}
            # In another order than asked, as the vendors warn.
            batch["answers"] = dict(reversed(answered.items()))
            if provider == "openai":
                batch |= self.batch_files(batch["answers"])
        self.send(200, self.batch_object(provider, batch))

    def batch_object(self, provider: str, batch: dict[str, Any]) -> dict[str, Any]:
        done = batch["done"]
        if provider == "anthropic":
            counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
            address = f"{self.server.fake.url}/v1/messages/batches/{batch['id']}/results"
            return {
                "id": batch["id"], "type": "message_batch", "processing_status": "ended" if done else "in_progress",
                "request_counts": counts, "created_at": STAMP, "expires_at": STAMP, "cancel_initiated_at": None,
                "archived_at": None, "ended_at": STAMP if done else None, "results_url": address if done else None,
            }  # fmt: skip
        return {
            "id": batch["id"], "object": "batch", "endpoint": "/v1/chat/completions", "completion_window": "24h",
            "status": "completed" if done else "in_progress", "created_at": CREATED, "input_file_id": "file-0",
            "output_file_id": batch.get("good") if done else None, "error_file_id": batch.get("bad") if done else None,
        }  # fmt: skip

    def batch_files(self, answers: dict[str, tuple[int, dict[str, Any]]]) -> dict[str, str | None]:
        files: dict[str, str | None] = {}
        for key, wanted in (("good", True), ("bad", False)):
            lines = [
                {
                    "id": f"batch_req_{number}",
                    "custom_id": name,
                    "response": {"status_code": status, "request_id": f"req_{number}", "body": body},
                    "error": None,
                }
                for number, (name, (status, body)) in enumerate(answers.items())
                if (status == 200) is wanted
            ]
            text = "".join(f"{json.dumps(line)}\n" for line in lines)
            files[key] = self.server.fake.file(text.encode()) if lines else None
        return files

    def take_results(self, provider: str, data: bytes, body: dict[str, Any], name: str) -> None:
        lines = []
        for key, (status, value) in self.server.fake.answered(name).items():
            result = {"type": "succeeded", "message": value} if status == 200 else {"type": "errored", "error": value}
            lines.append(json.dumps({"custom_id": key, "result": result}))
        self.send(200, "".join(f"{line}\n" for line in lines).encode(), "application/x-jsonl")

    # Faults

    def fault(self, provider: str, failure: Failure) -> None:
        wire = WIRES[provider]
        extra = {} if failure.retry_after is None else {"retry-after": str(failure.retry_after)}
        match failure.what:
            case "redirect":
                self.send(307, b"", headers={"location": failure.location + self.path})
            case "html":
                self.send(200, b"<html><body>Sign in to the hotel's network</body></html>", "text/html")
            case "not_json":
                self.send(200, b'{"id": "msg_1", "content": [')
            case "other_json":
                self.send(200, {"hello": "world"})
            case "list_json":
                self.send(200, b"[1, 2]")
            case 401:
                # As rude as can be: the key comes back in the message.
                keys = self.headers.get("x-api-key") or self.headers.get("authorization") or ""
                self.send(401, wire.error(401, f"Incorrect API key provided: {keys}"))
            case int(status):
                self.send(status, wire.error(status, f"this is status {status}"), headers=extra)
            case what:
                self.head(200, "application/json", length=1000)
                self.hurt(str(what))

    def hurt(self, what: str) -> None:
        """Break the connection in mid-answer."""
        if what == "drip":
            with contextlib.suppress(OSError):
                while not self.server.fake.closing.wait(1.0):
                    self.wfile.write(b"1\r\n \r\n" if self.chunked else b" ")
        elif what == "reset":
            # No lingering: the peer is told that the connection is gone, not that it ended.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        if what == "reset":
            self.server._open.discard(self.connection)
            self.connection.close()
            raise ConnectionResetError
        raise ConnectionAbortedError

    # HTTP

    def head(self, status: int, kind: str, length: int | None = None, headers: dict[str, str] | None = None) -> None:
        self.chunked = length is None
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("request-id", digest(self.path))
        if length is None:
            self.send_header("transfer-encoding", "chunked")
        else:
            self.send_header("content-length", str(length))
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.end_headers()

    def send(
        self,
        status: int,
        body: dict[str, Any] | bytes,
        kind: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.head(status, kind, len(data), headers)
        self.wfile.write(data)

    def chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
