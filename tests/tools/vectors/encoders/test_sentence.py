"""Models that Sentence Transformers runs."""

import os
import subprocess
import sys
from pathlib import Path

from recryst.tools.vectors.encoders.minilm import model_folder


def test_a_fresh_process_asks_nobody_and_says_nothing(tmp_path: Path) -> None:
    """Sentence Transformers imports PEFT, that bitsandbytes, and that fetches code where ``kernels`` is installed: on
    a processor with bfloat16 it would die here."""
    (tmp_path / "kernels.py").write_text("def get_kernel(*_, **__):\n    raise SystemExit('the hub was asked')\n")
    script = f"""
import socket
def refuse(*_): raise SystemExit("the network was asked")
socket.socket.connect = socket.getaddrinfo = refuse
from recryst.state.params.vectors import EmbedParams
from recryst.tools.vectors.encoders.open import open_encoder
assert open_encoder(EmbedParams(model={str(model_folder())!r})).encode(["a text"]).shape == (1, 384)
import kernels  # hidden no longer
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
