"""An agent of another program: the official client of a server in a process of its own, over its standard streams."""

import contextlib
import json
import os
import sys

import pytest
from anyio.from_thread import start_blocking_portal
from conversing import SETTINGS

mcp = pytest.importorskip("mcp")
from mcp.types import ElicitResult  # noqa: E402

COMMAND = ["-P", "-c", "from recryst.agent.cli import main; main()", "mcp"]


class Agent:
    """Another program's agent. ``answers`` are what its person says in turn, the last of them from then on: a word of
    the form, ``decline`` or ``cancel``; ``asked`` are the questions that they were shown."""

    def __init__(self, portal, answers):
        self.answers, self.asked = answers, []
        self._portal = portal

    async def person(self, context, params):
        """The client's callback: a person reads and answers."""
        self.asked.append(params.message)
        said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if said in ("decline", "cancel"):
            return ElicitResult(action=said)
        return ElicitResult(action="accept", content={"answer": said})

    def call(self, tool, **arguments):
        """What a tool tells."""
        result = self._portal.call(self.client.call_tool, tool, arguments)
        assert not result.is_error, result.content[0].text
        return json.loads(result.content[0].text)

    def refused(self, tool, **arguments):
        """The sentence of a tool that refuses."""
        result = self._portal.call(self.client.call_tool, tool, arguments)
        assert result.is_error, result.content[0].text
        return result.content[0].text

    def tools(self):
        """The names of the tools."""
        return {tool.name for tool in self._portal.call(self.client.list_tools).tools}

    def read(self, uri):
        """The text of a resource."""
        (content,) = self._portal.call(self.client.read_resource, uri).contents
        return content.text


@contextlib.contextmanager
def served(folder, *words, answers=None, mode="auto"):
    """A server of the runs below ``folder``, and an agent; without ``answers`` its client has nobody to ask."""
    words = ["--runs", str(folder / "runs"), *words, *(word for one in SETTINGS for word in ("--set", one))]
    server = mcp.StdioServerParameters(command=sys.executable, args=[*COMMAND, *words], env={**os.environ}, cwd=folder)
    with start_blocking_portal() as portal:
        agent = Agent(portal, answers)
        asks = agent.person if answers else None
        client = mcp.Client(server, mode=mode, elicitation_callback=asks)
        with portal.wrap_async_context_manager(client) as agent.client:
            yield agent
