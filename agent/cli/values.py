"""What is typed as the value of an option, read."""

import click


def read_price(context: click.Context, option: click.Parameter, value: str | None) -> list[float] | None:
    """``IN,OUT`` as two numbers."""
    if value is None:
        return None
    try:
        first, second = (float(part) for part in value.split(","))
        return [first, second]
    except ValueError:
        raise click.BadParameter(
            "must be two numbers, as in 3,15: dollars per million input and output tokens"
        ) from None


def read_names(context: click.Context, option: click.Parameter, value: tuple[str, ...]) -> list[str] | None:
    """``A,B`` as names, and those of an option that is given again; None where it was not given."""
    return [name.strip() for part in value for name in part.split(",") if name.strip()] if value else None


def read_files(context: click.Context, option: click.Parameter, value: tuple[str, ...]) -> list[str] | None:
    """The files of an option that may be given again; None where it was not given."""
    return list(value) or None
