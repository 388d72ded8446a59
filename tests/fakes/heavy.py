"""What a run comes to import, its kernels among it: else much of a short run's time. Importing this imports it all."""

from importlib import import_module

from recryst.tools.vectors.reduce import load_libraries

for _name in (
    *("recryst.agent.cli.run", "recryst.agent.graph", "langgraph.graph", "sentence_transformers", "sklearn"),
    *("recryst.tools.repeats.shingles", "recryst.tools.repeats.buckets", "recryst.tools.vectors.partition.descent"),
    *("recryst.tools.text.ngrams", "spacy.pipeline", "openvino", "fasttext", "plotly.graph_objects"),
):
    import_module(_name)
load_libraries()  # UMAP, whose kernels would be compiled by every process if it were imported as it is
