"""The browser works here, and a page that misbehaves fails its test."""

from typing import TYPE_CHECKING

import pytest

from tests.support.browser import watched_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def test_a_page_runs_its_script(browser_page: "Page") -> None:
    browser_page.set_content("<button onclick=\"this.textContent = 'clicked'\">click</button>")
    browser_page.get_by_role("button").click()
    assert browser_page.get_by_role("button").text_content() == "clicked"


def test_an_uncaught_script_error_fails_the_test(browser: "Browser") -> None:
    with pytest.raises(AssertionError, match="script error: broken"), watched_page(browser) as page:
        page.set_content("<script>throw new Error('broken')</script>")


def test_what_the_security_policy_refuses_fails_the_test(browser: "Browser") -> None:
    policy = "<meta http-equiv=Content-Security-Policy content=\"script-src 'none'\">"
    with pytest.raises(AssertionError, match="Content Security Policy"), watched_page(browser) as page:
        page.set_content(f"{policy}<script>document.title = 'ran'</script>")
