"""A page as PDF, through WeasyPrint (an extra)."""

from typing import Any, Literal

from dermoscope.core.errors import MissingDependencyError

Paper = Literal["a4", "letter"]


def as_pdf(page: str, paper: Paper = "a4") -> bytes:
    """The page as PDF with its fonts embedded. Nothing is fetched: what is not in the page is left out.

    Raises MissingDependencyError without WeasyPrint or the libraries that it needs.
    """
    css, html, fetcher = _weasyprint()
    styles = [css(string="@page { size: letter }")] if paper == "letter" else []
    document = html(string=page, url_fetcher=fetcher(allowed_protocols=["data"]))
    return bytes(document.write_pdf(stylesheets=styles))


def require() -> None:
    """Raise MissingDependencyError, with the remedy, where there is no WeasyPrint."""
    _weasyprint()


def _weasyprint() -> tuple[Any, Any, Any]:
    try:
        from weasyprint import CSS, HTML  # type: ignore[import-untyped]
        from weasyprint.urls import URLFetcher  # type: ignore[import-untyped]
    except ImportError:
        raise MissingDependencyError(
            "PDF needs WeasyPrint 68 or later: pip install -c constraints.txt -e '.[report]' in the clone"
        ) from None
    except OSError as error:
        raise MissingDependencyError(
            f"WeasyPrint does not find a library of the system ({error}); install Pango "
            "(apt install libpango-1.0-0 libpangoft2-1.0-0, or brew install pango)"
        ) from None
    return CSS, HTML, URLFetcher
