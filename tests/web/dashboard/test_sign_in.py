"""Signing in by link and by password, and out again."""

from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest

from tests.support.site import FORM_TOKEN, PASSWORD, SAME_SITE, SESSION, Site, open_site
from trigger_lite.engine.accounts import find_session, make_sign_in_link
from trigger_lite.web.dashboard.guard import mask
from trigger_lite.web.dashboard.throttle import FREE_TRIES

NEW_PASSWORD = "another good password"


def _cookie(response: httpx.Response, name: str) -> str:
    cookies: SimpleCookie = SimpleCookie()
    for header in response.headers.get_list("set-cookie"):
        cookies.load(header)
    return cookies[name].OutputString()


async def _link(site: Site, token: str = "a-new-link") -> str:
    await site.services.store.write(make_sign_in_link, token)
    return token


async def test_a_link_sets_a_password_and_signs_in(site: Site) -> None:
    token = await _link(site)
    async with site.client(**SAME_SITE) as browser:
        page = await browser.get(f"/sign-in?token={token}")
        assert "Choose a password" in page.text
        response = await browser.post("/sign-in", data={"token": token, "password": NEW_PASSWORD})
        assert (response.status_code, response.headers["location"]) == (303, "/")
        assert (await browser.get("/prod/runs")).status_code == 200


async def test_looking_at_a_link_does_not_use_it(site: Site) -> None:
    token = await _link(site)
    async with site.client(**SAME_SITE) as browser:
        for _ in range(3):
            await browser.get(f"/sign-in?token={token}")
        response = await browser.post("/sign-in", data={"token": token, "password": NEW_PASSWORD})
    assert response.status_code == 303


async def test_a_used_link_says_how_to_get_another(site: Site) -> None:
    token = await _link(site)
    async with site.client(**SAME_SITE) as browser:
        await browser.post("/sign-in", data={"token": token, "password": NEW_PASSWORD})
        again = await browser.post("/sign-in", data={"token": token, "password": "a third password"})
        page = await browser.get(f"/sign-in?token={token}")
    assert again.status_code == 401 and "no longer works" in again.text
    assert "trigger-lite sign-in" in page.text


async def test_a_weak_password_keeps_the_link(site: Site) -> None:
    token = await _link(site)
    async with site.client(**SAME_SITE) as browser:
        weak = await browser.post("/sign-in", data={"token": token, "password": "short"})
        assert weak.status_code == 422 and "at least 10 characters" in weak.text
        response = await browser.post("/sign-in", data={"token": token, "password": NEW_PASSWORD})
    assert response.status_code == 303


async def test_the_password_signs_in_and_leads_back(site: Site) -> None:
    async with site.client(**SAME_SITE) as browser:
        asked = await browser.get("/prod/runs?tag=a")
        page = await browser.get(asked.headers["location"])
        assert 'name="next" value="/prod/runs?tag=a"' in page.text
        response = await browser.post("/sign-in", data={"password": PASSWORD, "next": "/prod/runs?tag=a"})
    assert response.headers["location"] == "/prod/runs?tag=a"


async def test_the_cookie_is_closed_to_scripts_and_other_sites(site: Site) -> None:
    async with site.client(**SAME_SITE) as browser:
        plain = await browser.post("/sign-in", data={"password": PASSWORD})
        secure = await browser.post("https://127.0.0.1/sign-in", data={"password": PASSWORD})
    cookie = _cookie(plain, "trigger-lite-3040")
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Secure" not in cookie
    assert "Max-Age=1209600" in cookie
    cookie = _cookie(secure, "__Host-trigger-lite")
    assert "Secure" in cookie and "Path=/" in cookie and "Domain" not in cookie


async def test_the_session_is_another_one_after_signing_in(site: Site) -> None:
    async with site.signed_in() as browser:
        await browser.post("/sign-in", data={"password": PASSWORD})
    assert await site.services.store.read(find_session, SESSION) is None


async def test_a_wrong_password_is_refused_and_soon_slowed_down(site: Site) -> None:
    async with site.client(**SAME_SITE) as browser:
        for _ in range(FREE_TRIES):
            wrong = await browser.post("/sign-in", data={"password": "not the password"})
            assert wrong.status_code == 401 and "That is not the password" in wrong.text
        slowed = await browser.post("/sign-in", data={"password": PASSWORD})
    assert slowed.status_code == 429
    assert int(slowed.headers["retry-after"]) >= 1
    assert "Try again in" in slowed.text


async def test_signing_out_ends_the_session(site: Site) -> None:
    async with site.signed_in() as browser:
        response = await browser.post("/sign-out", data={"form_token": mask(FORM_TOKEN)})
        assert response.headers["location"] == "/sign-in"
        assert (await browser.get("/prod/runs")).status_code == 303
    assert await site.services.store.read(find_session, SESSION) is None


async def test_who_is_signed_in_has_no_business_at_the_sign_in_page(site: Site) -> None:
    async with site.signed_in() as browser:
        assert (await browser.get("/sign-in")).headers["location"] == "/"


@pytest.mark.parametrize(
    ("theme", "shown"), [("dark", "dark"), ("light", "light"), ("system", "system"), ("pink", "system")]
)
async def test_the_theme_is_in_the_first_byte(site: Site, theme: str, shown: str) -> None:
    async with site.signed_in() as browser:
        response = await browser.post("/theme", data={"theme": theme, "next": "/prod/runs"})
        assert response.headers["location"] == "/prod/runs"
        page = await browser.get("/prod/runs")
    assert f'data-theme="{shown}"' in page.text


@pytest.mark.parametrize(
    ("host", "is_warned"),
    [
        ("http://127.0.0.1:3040", False),
        ("http://localhost", False),
        ("http://192.168.1.5", True),
        ("https://ci.example", False),
    ],
)
async def test_a_connection_that_others_can_read_has_a_warning(
    site: Site, host: str, is_warned: bool
) -> None:
    async with site.client() as browser:
        page = await browser.get(f"{host}/sign-in")
    assert ("not encrypted" in page.text) is is_warned


async def test_behind_a_proxy_with_tls_the_public_address_decides(tmp_path: Path) -> None:
    public = {"host": "ci.example", **SAME_SITE}
    async with open_site(tmp_path, public_url="https://ci.example") as site, site.client(**public) as browser:
        page = await browser.get("/sign-in")
        response = await browser.post("/sign-in", data={"password": PASSWORD})
    assert "not encrypted" not in page.text
    assert "Secure" in _cookie(response, "__Host-trigger-lite")
    assert "max-age" in response.headers["strict-transport-security"]
