"""What a page must keep for everybody who looks at it: it fits, it can be pressed, and axe finds nothing serious."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

_OVERFLOW = """() => {
  const most = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= most) return [];
  return [...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > most + 1)
    .slice(0, 5).map((one) => `${one.tagName}.${one.className}: ${Math.round(one.getBoundingClientRect().right)}`);
}"""
_SMALL = """() => [...document.querySelectorAll("a, button, input, select, summary, textarea")].filter((one) => {
  if (one.closest("p, li, td, dd, .notice-line") && one.tagName === "A" && !one.matches(".button")) return false;
  const pressed = one.matches("input[type=radio], input[type=checkbox], input.hidden") ? one.closest("label") : one;
  if (!pressed || !one.checkVisibility() || one.matches(".skip, .stretched, [tabindex='-1']")) return false;
  const { width, height } = pressed.getBoundingClientRect();
  return width > 1 && (width < 24 || height < 24);
}).map((one) => one.outerHTML.slice(0, 90))"""


def overflow(page: "Page") -> list[str]:
    """What is wider than the window."""
    found: list[str] = page.evaluate(_OVERFLOW)
    return found


def small(page: "Page") -> list[str]:
    """What is to be pressed and smaller than 24 px (WCAG 2.2, 2.5.8)."""
    found: list[str] = page.evaluate(_SMALL)
    return found


def violations(page: "Page") -> list[str]:
    """Serious and critical ones of axe, each with where it is."""
    from axe_playwright_python.sync_playwright import Axe

    options = {"resultTypes": ["violations"], "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{one['id']}: {node['html'][:120]} {node.get('failureSummary', '')[:200]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
