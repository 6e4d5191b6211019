"""Licences and attributions of data sets that were combined, and what follows for weights trained on them."""

from collections.abc import Iterable, Mapping, Sequence

from dermoscope.data.dataset import DataSet

Used = tuple[str, int, DataSet | None, Mapping[str, str]]
"""Name of a set, how many of its images are used, its entry in the catalog (None: a path), what a card says of it."""


def verdict(used: Sequence[Used]) -> list[str]:
    """What may be done with weights that were trained on these sets, in sentences; the strictest terms count."""
    closed = [name for name, n, entry, _ in used if n and entry is not None and entry.commercial is False]
    unknown = [name for name, n, entry, _ in used if n and (entry is None or entry.commercial is None)]
    alike = [name for name, n, entry, _ in used if n and entry and "-SA" in f"{entry.licence} {entry.weights_licence}"]
    said = []
    if closed:
        said.append(f"No commercial use: not allowed by {_all(closed)}.")
    if unknown:
        said.append(
            f"Ask before commercial use and before passing weights on: {_all(unknown)} have terms not known here."
        )
    if not closed and not unknown:
        said.append("The licences allow commercial use.")
    if alike:
        said.append(f"Pass weights on under the same terms (share alike): {_all(alike)}.")
    return [*said, "Name every set below with its citation wherever the weights are passed on."]


def licences_page(used: Iterable[Used], left_out: Mapping[str, str]) -> str:
    """Licences, attributions and what may be done with weights, as Markdown."""
    used = list(used)
    parts = [
        "# Licences of a combined data set",
        "Written by `dermoscope data combine` from the catalog (`dermoscope data show NAME` says where each statement "
        "was read). It is a reading of the owners' terms, not legal advice; the terms themselves count.",
        "## What may be done with weights trained on it",
        "\n".join(f"- {line}" for line in verdict(used)),
        "## Sets",
    ]
    for name, n, entry, said in used:
        lines = [f"- images used: {n:,}", f"- licence: {said.get('licence', 'not stated')}"]
        if entry is not None:
            allowed = {True: "yes", False: "no", None: "not known"}[entry.commercial]
            lines += [f"- commercial use: {allowed}", f"- address: <{entry.address}>"]
        lines.append(f"- cite: {said.get('citation', 'not stated')}")
        parts += [f"### {name}", "\n".join(lines)]
    if left_out:
        parts += ["## Left out", "\n".join(f"- {name}: {why}" for name, why in left_out.items())]
    return "\n\n".join(parts) + "\n"


def _all(names: Sequence[str]) -> str:
    return ", ".join(names)
