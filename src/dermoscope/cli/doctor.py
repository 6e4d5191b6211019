"""`dermoscope doctor`."""

from typing import Annotated

import typer


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print the checks as JSON.")] = False) -> None:
    """Check the installation: packages, bundle, data and state folder. Exit code 1 when something needed is missing."""
    import json
    import sys
    from importlib.metadata import PackageNotFoundError, version

    from dermoscope import __version__
    from dermoscope.core.errors import DermoscopeError
    from dermoscope.data.catalog import CATALOG, load
    from dermoscope.data.home import home
    from dermoscope.predict.bundle import load as load_bundle

    checks: list[tuple[str, str, str]] = [("ok", "dermoscope", f"{__version__}, Python {sys.version.split()[0]}")]
    for package, needed in (("onnxruntime", True), ("simplejpeg", False), ("torch", False), ("timm", False)):
        try:
            checks.append(("ok", package, version(package)))
        except PackageNotFoundError:
            what = "needed" if needed else {"simplejpeg": "slower JPEG"}.get(package, "no training")
            checks.append(("fail" if needed else "absent", package, what))
    try:
        bundle = load_bundle()
        checks.append(("ok", "bundle", f"{bundle.manifest.name} {bundle.sha256[:12]}, every file verified"))
    except DermoscopeError as error:
        checks.append(("fail", "bundle", str(error)))
    for name in CATALOG:
        try:
            checks.append(("ok", f"data {name}", f"{len(load(name))} cases"))
        except DermoscopeError as error:
            checks.append(("absent", f"data {name}", str(error)))
    checks.append(("ok", "state", str(home())))
    if as_json:
        print(json.dumps([{"state": s, "what": w, "detail": d} for s, w, d in checks], indent=1))
    else:
        for state, what, detail in checks:
            print(f"{state:7} {what:14} {detail}")
    if any(state == "fail" for state, _, _ in checks):
        raise typer.Exit(1)
