"""What a run comes to import, and what each process makes once: else much of a short run's time.

Importing this does it all. No thread is started, since the processes are forked from the one that does.
"""

import gc
import os
from importlib import import_module

from recryst.tools.text import tokens
from recryst.tools.vectors.reduce import load_libraries
from recryst.tools.write import report
from recryst.tools.write.hub.card import markdown_template

for _name in (
    *("recryst.agent.cli.run", "recryst.agent.graph", "langgraph.graph", "sentence_transformers", "sklearn"),
    *("recryst.tools.repeats.shingles", "recryst.tools.repeats.buckets", "recryst.tools.vectors.partition.descent"),
    *("recryst.tools.text.ngrams", "spacy.pipeline", "openvino", "fasttext", "plotly.graph_objects"),
):
    import_module(_name)
load_libraries()  # UMAP, whose kernels would be compiled by every process if it were imported as it is
report._page()
for _name in ("card.md.jinja", "model_card.md.jinja"):
    markdown_template(_name)
tokens._spacy()
os.fsync = lambda descriptor: None  # as in the process of the tests: nobody waits for the disk
gc.collect()
gc.freeze()  # or the first collection in a forked process copies all of it
