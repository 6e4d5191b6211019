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


def decision_tables(figures: Figures) -> list[str]:
    """Markdown tables of the answers: sensitivities by how an abstention counts, then what became of each diagnosis."""
    if f"{_DECISION}specificity" not in figures.estimates:
        return []
    rows = ["| answers | an abstention counts as referred | as missed | left out | n |", "|---|---|---|---|---|"]
    for prefix, label in _SENSITIVITIES.items():
        names = [f"{prefix}sensitivity{suffix}" for suffix in ("", "_abstained_missed", "_answered")]
        cells = [_text(figures, name) for name in names]
        rows.append(f"| {label} | {' | '.join(cells)} | {_n(figures, names[0])} |")
    calm, left_out = _text(figures, "specificity"), _text(figures, "specificity_answered")
    rows.append(f"| benign of low concern | {calm} | – | {left_out} | {_n(figures, 'specificity')} |")
    rows.append(f"| answered at all | {_text(figures, 'answered')} | – | – | {_n(figures, 'answered')} |")
    codes = [
        name.removeprefix(_DECISION).removesuffix(".refer") for name in figures.estimates if name.endswith(".refer")
    ]
    held = [code for code in codes if figures.get(f"{_DECISION}{code}.refer").n]
    if held:
        rows += ["", "| of each diagnosis | referred | low concern | cannot assess | n |", "|---|---|---|---|---|"]
    for code in held:
        cells = [_text(figures, f"{code}.{kind}") for kind in ("refer", "low_concern", "cannot_assess")]
        rows.append(f"| {code} | {' | '.join(cells)} | {_n(figures, f'{code}.refer')} |")
    return rows


_DECISION = "decision."
_SENSITIVITIES = {
    "melanoma_": "melanomas referred",
    "malignant_": "malignant referred (without actinic keratosis)",
    "": "malignant or premalignant referred",
}


def _text(figures: Figures, name: str) -> str:
    return figures.get(_DECISION + name).text() if _DECISION + name in figures.estimates else "–"


def _n(figures: Figures, name: str) -> str:
    return f"{figures.get(_DECISION + name).n:,}" if _DECISION + name in figures.estimates else "–"


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
    if card.operating_point:
        yield ""
        yield f"{card.operating_point.title}: {card.operating_point.split}"
        yield ""
        yield from decision_tables(card.operating_point)
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
        answers = decision_tables(figures)
        told = [name for name in figures.estimates if not (answers and name.startswith(_DECISION))]
        yield from figure_table(figures, {name: name for name in told})
        if answers:
            yield ""
            yield from answers
