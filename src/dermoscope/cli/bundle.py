"""`dermoscope bundle`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dermoscope.predict.bundle import Bundle

_PREPROCESS = (
    "What the model expects: size=224,mean=0.485:0.456:0.406,std=0.229:0.224:0.225,layout=nchw,range=1,outputs=logits,"
    "order=MEL:NV:BCC:AK:BKL:DF:VASC:SCC. Also output=, embedding=, features=NAME."
)

app = typer.Typer(
    help="Look into a bundle, import another's model, calibrate it.", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def _root() -> None:
    """Look into a bundle, import another's model, calibrate it."""


@app.command()
def info(
    bundle: Annotated[str, typer.Argument(help="Name or folder of a bundle.")] = "default",
    as_json: Annotated[bool, typer.Option("--json", help="The whole card and manifest as JSON.")] = False,
) -> None:
    """What a bundle is, what it was trained on, and how good it was found to be; every file is verified."""
    import json

    from dermoscope.predict.bundle import load
    from dermoscope.report.card import as_text

    found = load(bundle)
    if as_json:
        manifest = found.manifest.model_dump(mode="json")
        print(
            json.dumps(
                {"sha256": found.sha256, "manifest": manifest, "card": found.card.model_dump(mode="json")}, indent=1
            )
        )
    else:
        print(as_text(found.card, found.sha256))


@app.command("import")
def import_(
    model: Annotated[Path, typer.Argument(help="An ONNX file, or with --backbone a checkpoint (.pth, .safetensors).")],
    out: Annotated[Path, typer.Option(help="Folder of the new bundle.")],
    taxonomy: Annotated[str, typer.Option(help="isic2019 or isic2018: its diagnoses.")] = "isic2019",
    preprocess: Annotated[str, typer.Option(help=_PREPROCESS)] = "",
    backbone: Annotated[str | None, typer.Option(help="timm's name of the network of a checkpoint.")] = None,
    licence: Annotated[str, typer.Option(help="Licence of the weights, for the card.")] = "not stated",
    views: Annotated[int, typer.Option(help="Views to average per image (1 to 16).")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Make a bundle of a model that was trained elsewhere; it is served once it has been calibrated here."""
    from dermoscope.core.errors import InputError
    from dermoscope.core.taxonomy import TAXONOMIES
    from dermoscope.predict.bundle import save

    _needed()
    from dermoscope.train.expected import read_expected
    from dermoscope.train.imported import Described, import_checkpoint, import_onnx

    if taxonomy not in TAXONOMIES:
        raise InputError(f"no taxonomy {taxonomy!r}; there are {', '.join(TAXONOMIES)}")
    described = Described(_name(out), TAXONOMIES[taxonomy], licence, views)
    expected = read_expected(preprocess)
    if backbone is None and model.suffix in (".pth", ".pt", ".bin", ".safetensors"):
        raise InputError(f"{model}: of which network are these weights? --backbone NAME, as timm calls it")
    made = (
        import_onnx(model, expected, described)
        if backbone is None
        else import_checkpoint(model, backbone, expected, described)
    )
    _tell(save(made, out), out, as_json)


@app.command()
def probe(
    embeddings: Annotated[Path, typer.Argument(help="A .npz with ids and an array [images, features].")],
    labels: Annotated[Path, typer.Argument(help="CSV with a diagnosis, and lesion ids, for these ids.")],
    out: Annotated[Path, typer.Option(help="Folder of the new bundle.")],
    encoder: Annotated[Path | None, typer.Option(help="The ONNX graph that made them: then it reads images.")] = None,
    preprocess: Annotated[str, typer.Option(help="What the encoder expects: see `bundle import`.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a head on other people's embeddings (role training) and make a bundle of it.

    With --encoder an ordinary one, to be calibrated; without, one for `bundle apply` alone, already calibrated on the
    role calibration of these labels.
    """
    _needed()
    from dermoscope.predict.bundle import save
    from dermoscope.predict.embedded import read_embeddings, read_labels
    from dermoscope.train.expected import read_expected
    from dermoscope.train.imported import Described
    from dermoscope.train.probed import probe as fit

    cases = read_labels(labels)
    described = Described(_name(out), cases.taxonomy, data=labels.name)
    made = fit(read_embeddings(embeddings), cases, described, (encoder, read_expected(preprocess)) if encoder else None)
    saved = save(made, out)
    if encoder is None and not as_json:
        print(f"bundle {out} ({saved.sha256[:12]}): reads embeddings, no images")
        print(f"next: dermoscope bundle apply {out} EMBEDDINGS.npz")
    else:
        _tell(saved, out, as_json)


@app.command()
def apply(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle.")],
    embeddings: Annotated[Path, typer.Argument(help="A .npz with ids and an array [images, features].")],
    out: Annotated[Path | None, typer.Option(help="CSV to write; else standard output.")] = None,
    prior: Annotated[str | None, typer.Option(help="calibration, uniform or training; else the bundle's.")] = None,
) -> None:
    """Probabilities of embeddings instead of images, as an ISIC CSV: last layer, calibration and prior of a bundle."""
    import sys

    from dermoscope.data.files import write_scores
    from dermoscope.predict.bundle import load
    from dermoscope.predict.embedded import predict_embeddings, read_embeddings

    found = load(bundle)
    target = found.prior(prior or found.manifest.default_prior)
    write_scores(
        out or sys.stdout, found.pipeline.shifted(predict_embeddings(found, read_embeddings(embeddings)), target)
    )


@app.command()
def calibrate(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle.")],
    data: Annotated[str, typer.Option(help="Data set with a role calibration, by name or path.")] = "ham10000",
    out: Annotated[Path | None, typer.Option(help="Folder of the calibrated bundle; else in its place.")] = None,
    decision_only: Annotated[
        bool, typer.Option("--decision-only", help="Only thresholds and operating point; calibration stays.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Fit calibration, thresholds and, where the model gives an embedding, what is usual; then it is served.

    On the roles calibration and training of the data, which it must not have been trained on: of a model from
    elsewhere only its maker knows.
    """
    from dermoscope.cli.progress import phases
    from dermoscope.data.catalog import open_cases
    from dermoscope.data.splits import sharpest_per_lesion, with_role
    from dermoscope.predict.bundle import load, save
    from dermoscope.predict.fitting import fitted, refitted

    found = load(bundle)
    cases, _ = open_cases(data)
    known = cases.where(lambda c: c.diagnosis is not None and c.path is not None)
    calibration = sharpest_per_lesion(with_role(known, "calibration"))
    with phases() as progress:
        if decision_only:
            made = refitted(found, calibration, progress=progress)
        else:
            made = fitted(found, calibration, with_role(known, "training"), progress=progress)
    where = out or bundle
    _tell(save(made, where), where, as_json)


def _needed() -> None:
    from dermoscope.core.errors import MissingDependencyError

    try:
        import dermoscope.train.imported  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            f"this needs {error.name}: `make setup`, or pip install -c constraints.txt -e '.[train]' in the clone"
        ) from error


def _name(out: Path) -> str:
    import re

    return re.sub(r"[^\w.+-]+", "-", out.resolve().name).strip("-") or "imported"


def _tell(bundle: "Bundle", where: Path, as_json: bool) -> None:
    import json

    manifest = bundle.manifest
    if as_json:
        print(json.dumps({"bundle": str(where), "sha256": bundle.sha256, "served": manifest.served}))
        return
    print(f"bundle {where} ({sum(map(len, bundle.graphs.values())) / 1e6:.1f} MB, {bundle.sha256[:12]})")
    if manifest.served:
        print(f"next: dermoscope classify IMAGES --bundle {where}")
    else:
        print("not served before it is calibrated here, on cases that it was not trained on:")
        print(f"next: dermoscope bundle calibrate {where} --data NAME")
