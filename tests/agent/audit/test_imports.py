"""The audit is a third party's: it loads neither the graph nor the conversation."""

import subprocess
import sys


def test_importing_the_audit_loads_neither_the_graph_nor_the_conversation():
    script = (
        "import sys, recryst.agent.audit\n"
        "print([name for name in sys.modules if name.split('.')[0] == 'langgraph' or 'agent.chat' in name])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
