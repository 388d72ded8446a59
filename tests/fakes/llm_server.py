"""A loopback server that speaks Anthropic's, OpenAI's and Ollama's wire formats, with faults on order.

    with LlmServer(policy) as server:
        params = LlmParams(model="openai:any", base_url=server.base_url("openai"))

``policy(asked)`` returns the answer: a text, a dict (sent as its JSON), a ``ToolUse`` or a list of them, an
``Answer``, or a ``Failure``. ``server.fail([Failure(429), …])`` puts faults before the next calls, one each. As a
process: ``python tests/fakes/llm_server.py --policy schema_filler --port 8137``.
"""

import argparse
import contextlib
import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from curators import curators, over_http
from llm_faults import MUTATIONS, Failure, mutated
from llm_http import Handler, Http
from llm_vendors import WIRES
from llm_wire import Answer, Asked, Bill, Refused, ToolUse
from policies import POLICIES, schema_filler

__all__ = ["Answer", "Asked", "Failure", "LlmServer", "ToolUse"]

Policy = Callable[[Asked], Any]


class LlmServer:
    """The server; a context manager. All that reached it is in ``calls``, in order of arrival."""

    def __init__(
        self, policy: Policy = schema_filler, port: int = 0, bytes_per_token: int = 4, dimensions: int = 32
    ) -> None:
        """Make it ready.

        Args:
            policy: what answers a chat question.
            port: 0 takes a free one.
            bytes_per_token: 4 is about true for English; 1 is the dearest a tokenizer can be.
            dimensions: of embeddings.
        """
        self.policy = policy
        self.calls: list[Asked] = []
        self.billed = 0  # tokens of all answers worked out, also of those that were lost on the way
        self.polls = 1  # how often a batch is still in progress when it is asked after
        self.bytes_per_token = bytes_per_token
        self.dimensions = dimensions
        self.closing = threading.Event()
        self._failures: list[tuple[Failure, str | None]] = []
        self._cached: set[str] = set()
        self._batches: dict[str, dict[str, Any]] = {}
        self._files: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._http = Http(("127.0.0.1", port), Handler)
        self._http.fake = self
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> "LlmServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening and end every connection; afterwards the port refuses."""
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._http.end_connections()
        self._thread.join()

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def base_url(self, provider: str) -> str:
        """The address as that vendor's client wants it."""
        return f"{self.url}/v1" if provider == "openai" else self.url

    @property
    def chats(self) -> list[Asked]:
        """The questions among the calls, batched ones too."""
        with self._lock:
            return [call for call in self.calls if call.kind == "chat"]

    def fail(self, failures: Iterable[Failure], kind: str | None = None) -> None:
        """Put faults before the next calls (of that kind), one each, in order."""
        with self._lock:
            self._failures += [(failure, kind) for failure in failures]

    # What follows is for the handler.

    def record(self, asked: Asked) -> Failure | None:
        """Note a call, and take the fault that was ordered for it."""
        with self._lock:
            self.calls.append(asked)
            for index, (failure, kind) in enumerate(self._failures):
                if kind in (None, asked.kind):
                    del self._failures[index]
                    return failure
        return None

    def answer(self, asked: Asked, ordered: Failure | None) -> tuple[Answer, Failure | None]:
        """The policy's answer with the faults that touch it done to it, and the fault that is left to do."""
        said = self.policy(asked)
        failure = ordered
        if isinstance(said, Failure):
            failure, said = ordered or said, schema_filler(asked)
        if isinstance(said, dict) and "tool" in said:
            said = ToolUse(said["tool"], said["arguments"])
        if isinstance(said, ToolUse):
            said = [said]
        if isinstance(said, list):
            said = Answer(tools=tuple(said), stop="tool_use")
        if isinstance(said, dict):
            said = json.dumps(said, ensure_ascii=False)
        answer = said if isinstance(said, Answer) else Answer(said)
        if failure is not None and failure.what in MUTATIONS:
            return mutated(answer, str(failure.what), asked.schema), None
        return answer, failure

    def bill(self, asked: Asked, answer: Answer) -> tuple[Answer, Bill]:
        """What the answer costs; an answer over the bound on tokens is cut off there."""
        room = asked.max_tokens * self.bytes_per_token
        if len(answer.text.encode()) > room:
            text = answer.text.encode()[:room].decode(errors="ignore")
            answer = replace(answer, text=text, stop="length")
        prefix = WIRES[asked.provider].prefix(asked)
        paid = {key: value for key, value in asked.body.items() if key not in ("stream", "stream_options")}
        size = self.tokens(json.dumps(paid, ensure_ascii=False, separators=(",", ":")))
        written = read = 0
        with self._lock:
            if prefix is not None:
                share = min(self.tokens(prefix), size)
                written, read = (0, share) if prefix in self._cached else (share, 0)
                self._cached.add(prefix)
            if asked.provider == "openai":
                written = 0  # its cache costs nothing to write
            uses = json.dumps([use.arguments for use in answer.tools]) if answer.tools else ""
            output = min(self.tokens(answer.text + uses), asked.max_tokens)
            bill = Bill(size - written - read, output, written, read)
            self.billed += size + output
        return answer, bill

    def tokens(self, text: str) -> int:
        """Tokens of a text."""
        return -(-len(text.encode()) // self.bytes_per_token)

    def one_of_batch(self, provider: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body of one question of a batch."""
        wire = WIRES[provider]
        try:
            asked = wire.asked(body, {}, batched=True)
        except Refused as refused:
            return 400, wire.error(400, str(refused))
        with self._lock:
            self.calls.append(asked)
        answer, failure = self.answer(asked, None)
        if failure is not None:
            status = failure.what if isinstance(failure.what, int) else 500
            return status, wire.error(status, "failed")
        return 200, wire.whole(asked, *self.bill(asked, answer))

    def batch(self, value: dict[str, Any]) -> dict[str, Any]:
        """Keep a batch."""
        with self._lock:
            value = {**value, "id": f"batch_{len(self._batches)}", "asked": 0}
            self._batches[value["id"]] = value
        return value

    def poll(self, name: str) -> dict[str, Any] | None:
        """A batch, asked after once more."""
        with self._lock:
            if (value := self._batches.get(name)) is not None:
                value["asked"] += 1
                value["done"] = value["asked"] > self.polls
            return value

    def answered(self, name: str) -> dict[str, Any]:
        """Status and body of each answer of a batch, by the name of the question."""
        with self._lock:
            return self._batches.get(name, {}).get("answers", {})

    def file(self, data: bytes) -> str:
        """Keep a file."""
        with self._lock:
            name = f"file-{len(self._files)}"
            self._files[name] = data
        return name

    def read_file(self, name: str) -> bytes | None:
        """A kept file."""
        return self._files.get(name)


def main() -> None:
    """Serve until the input ends or Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", default="schema_filler", help="of policies.py or curators.py")
    parser.add_argument("--data", type=Path, help="the folder of the data sets, for the attacks that `obedient` knows")
    parser.add_argument("--port", type=int, default=8137)
    options = parser.parse_args()
    scripts = {name: over_http(policy) for name, policy in curators(options.data).items()}
    policies = POLICIES if options.policy in POLICIES else scripts
    with LlmServer(policies[options.policy], options.port) as server, contextlib.suppress(KeyboardInterrupt):
        print(f"serving {options.policy} at {server.url}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    # The policies import this folder's modules by name, so that this file must be one of them, not __main__.
    import llm_server

    llm_server.main()
