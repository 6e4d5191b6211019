"""The same in a real browser: its policy, its cookies and its redirects are not httpx's."""

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from live import serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from conftest import Running
    from dermoscope.serve.desk import Service

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
PASSWORD = "correct horse battery staple"


def test_a_reader_presses_the_button_signs_in_elsewhere_and_comes_back(
    service: "Service", provider: "Running", browser: "Browser"
) -> None:
    options = replace(service.options, no_login=False, **provider.settings())
    with serving(options, replace(service, options=options)) as served, browser.new_context(locale="en-GB") as window:
        page = window.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.goto(f"{served.url}/settings")
        page.click("a[href^='/enter/oidc']")
        page.fill("input[name=username]", "dora")
        page.fill("input[name=password]", PASSWORD)
        page.click("button")
        assert "gives you no role here" in page.inner_text("main")
        # signed in there still: as somebody else only because the provider is told to ask again
        page.click("text=Sign in as somebody else")
        page.fill("input[name=username]", "anna")
        page.fill("input[name=password]", PASSWORD)
        page.click("button")
        page.wait_for_url(f"{served.url}/settings")
        assert "anna" in page.inner_text("header")
        cookie = next(one for one in page.context.cookies() if one["name"] == "session")
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
        assert page.evaluate("document.cookie").find("session") < 0
        assert not [text for text in said if "Content Security Policy" in text]
