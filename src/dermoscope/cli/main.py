"""`dermoscope`: the root of the command line."""

import sys

import typer

from dermoscope.cli import (
    backup,
    bundle,
    classify,
    data,
    demo,
    doctor,
    ensemble,
    evaluate,
    figures,
    model,
    report,
    retention,
    runs,
    serve,
    silent,
    study,
    submit,
    trail,
    train,
    user,
)

_INTERRUPTED = 130
"""Exit code of a command that Ctrl-C stopped, as shells have it."""

app = typer.Typer(
    name="dermoscope",
    help="Reads dermoscopic images of skin lesions and says honestly how well it does so.\n\n"
    "Research software: not a medical device, no diagnosis without a physician.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("classify")(classify.classify)
app.command("serve")(serve.serve)
app.command("silent-report")(silent.silent_report)
app.command("retention")(retention.retention)
app.add_typer(trail.app, name="audit")
app.add_typer(user.app, name="user")
app.add_typer(model.app, name="model")
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("evaluate")(evaluate.evaluate)
app.command("submit")(submit.submit)
app.command("demo")(demo.demo)
app.add_typer(data.app, name="data")
app.command("train")(train.train)
app.command("report")(report.report)
app.add_typer(runs.app, name="runs")
app.add_typer(study.app, name="study")
app.command("ensemble")(ensemble.ensemble)
app.add_typer(bundle.app, name="bundle")
app.command("figures", hidden=True)(figures.figures)
app.command("choices", hidden=True)(figures.choices)
app.command("doctor")(doctor.doctor)


@app.callback(invoke_without_command=True)
def _root(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:
        from dermoscope import __version__

        print(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line; an error that was raised on purpose becomes one sentence and an exit code."""
    from dermoscope.core.errors import DermoscopeError

    try:
        app(prog_name="dermoscope")
    except DermoscopeError as error:
        print(f"dermoscope: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except BrokenPipeError:
        raise SystemExit(1) from None
    except (KeyboardInterrupt, SystemExit) as ended:  # typer makes a silent exit of the first
        if isinstance(ended, SystemExit) and ended.code != _INTERRUPTED:
            raise
        print("dermoscope: stopped", file=sys.stderr)
        raise SystemExit(_INTERRUPTED) from None


if __name__ == "__main__":
    main()
