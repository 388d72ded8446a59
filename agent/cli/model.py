"""``recryst quantise``."""

from __future__ import annotations

from pathlib import Path

import click
import orjson


@click.command()
@click.argument("model_directory", metavar="MODEL_DIR", type=click.Path(path_type=Path))
@click.option("--to", "target", type=click.Choice(["nf4", "int8"]), required=True, help="Format.")
@click.option("--out", type=click.Path(path_type=Path), help="Where to write.  [default: MODEL_DIR-FORMAT]")
@click.option("--text", type=click.Path(path_type=Path, exists=True), help="A text file to measure perplexity on.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def quantise(model_directory: Path, target: str, out: Path | None, text: Path | None, as_json: bool) -> None:
    """Quantise the causal language model in MODEL_DIR with bitsandbytes and reload it.

    With --text, the perplexity before and after is measured on that text.
    """
    from ...tools.perplexity import evaluate
    from ...tools.quantise import quantise as quantise_model

    out = out or model_directory.with_name(f"{model_directory.name}-{target}")
    result = quantise_model(model_directory, target, out)  # type: ignore[arg-type]
    figures = {"path": str(out), "format": target, "size_bytes": result.size_bytes, "source_bytes": result.source_bytes}
    said = f"{out}: {result.source_bytes / 1e6:.2f} MB → {result.size_bytes / 1e6:.2f} MB"
    if text is not None:
        lines = text.read_text(encoding="utf-8", errors="replace").split("\n\n")
        before, after = (evaluate(folder, lines, 128) for folder in (model_directory, out))
        figures |= {"perplexity_before": before.perplexity, "perplexity_after": after.perplexity}
        said += f", perplexity {before.perplexity:.2f} → {after.perplexity:.2f}"
    click.echo(orjson.dumps(figures) if as_json else said)
