"""A model card as text for the terminal and as Markdown for the repository."""

from collections.abc import Iterable

from dermoscope.core.card import Card, Figures


def as_text(card: Card, sha256: str) -> str:
    """The card for a terminal, some forty lines."""
    return "\n".join(_lines(card, sha256, heading=lambda text: f"\n{text}", bullet="  "))


def as_markdown(card: Card, sha256: str) -> str:
    """The card as a Markdown file."""
    lines = [f"# Model card: {card.name}", *_lines(card, sha256, heading=lambda text: f"\n## {text}\n", bullet="- ")]
    return "\n".join(lines) + "\n"


def figure_table(figures: Figures, names: dict[str, str]) -> list[str]:
    """Markdown table of chosen estimates (name -> label), each with its interval, unit, n and method."""
    rows = ["| figure | value | 95 % interval | unit, n | interval by |", "|---|---|---|---|---|"]
    for name, label in names.items():
        e = figures.get(name)
        if e.value is None:
            rows.append(
                f"| {label} | not measurable | | {e.unit}, {e.n:,} | {e.method.removeprefix('not measurable: ')} |"
            )
            continue
        interval = f"{e.low:.3f} – {e.high:.3f}" if e.low is not None and e.high is not None else ""
        rows.append(f"| {label} | {e.value:.3f} | {interval} | {e.unit}, {e.n:,} | {e.method} |")
    return rows


def _lines(card: Card, sha256: str, heading: object, bullet: str) -> Iterable[str]:
    assert callable(heading)
    yield f"{card.summary}"
    yield f"SHA-256 {sha256}"
    yield f"Licence of the weights: {card.licence}"
    yield heading("Use")
    yield card.intended_use
    yield from (f"{bullet}not for: {item}" for item in card.not_for)
    yield from (f"{bullet}not in the training: {item}" for item in card.not_in_training)
    if card.prediction:
        yield heading("Prediction")
        yield card.prediction
    if card.decision:
        yield heading("Decision")
        yield card.decision
    yield heading("Training")
    for use in card.data:
        counts = ", ".join(f"{code} {n:,}" for code, n in use.images_per_diagnosis.items())
        amount = f"{use.images:,} images of {use.lesions:,} lesions ({counts})"
        yield f"{bullet}{use.name}, roles {' + '.join(use.roles)}: {amount}"
        yield f"{bullet}{use.licence}; {use.citation}"
    run = ", ".join(f"{key} {value}" for key, value in card.run.items())
    yield f"{bullet}run: {run}"
    for figures in card.figures:
        yield heading(figures.title)
        counted = f"; scored {figures.scorings} time(s) so far" if figures.scorings else ""
        yield f"{figures.split}; measured {figures.date}{counted}"
        yield ""
        yield from figure_table(figures, {name: name for name in figures.estimates})
