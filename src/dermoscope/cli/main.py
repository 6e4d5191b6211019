"""`dermoscope`: the root of the command line."""

import sys

import typer

from dermoscope.cli import evaluate

app = typer.Typer(
    name="dermoscope",
    help="Reads dermoscopic images of skin lesions and says honestly how well it does so.\n\n"
    "Research software: not a medical device, no diagnosis without a physician.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("evaluate")(evaluate.evaluate)


def main() -> None:
    """Run the command line; an error that was raised on purpose becomes one sentence and an exit code."""
    from dermoscope.core.errors import DermoscopeError

    try:
        app()
    except DermoscopeError as error:
        print(f"dermoscope: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except BrokenPipeError:
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
