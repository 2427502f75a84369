"""What stands before every page: headers, other sites, sessions, form tokens."""

import pytest

from tests.support.builders import a_run
from tests.support.site import FORM_TOKEN, SESSION, Site
from trigger_lite.web.dashboard.guard import mask, unmask
from trigger_lite.web.dashboard.sign_in import local_path

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@pytest.mark.parametrize("path", ["/sign-in", "/prod/runs", "/nowhere", "/static/none.js", "/prod/runs/x"])
async def test_every_answer_carries_the_security_headers(site: Site, path: str) -> None:
    async with site.signed_in() as browser:
        headers = (await browser.get(path)).headers
    assert headers["content-security-policy"] == CSP
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert "strict-transport-security" not in headers


async def test_over_tls_the_browser_is_told_to_stay_there(site: Site) -> None:
    async with site.client() as browser:
        headers = (await browser.get("https://127.0.0.1/sign-in")).headers
    assert "max-age" in headers["strict-transport-security"]


@pytest.mark.parametrize(
    "path",
    ["/", "/prod/runs", "/prod/runs.json", "/prod/runs.csv", "/prod/runs/x", "/prod/runs/x/payload"],
)
async def test_who_is_not_signed_in_is_sent_to_the_sign_in_page(site: Site, path: str) -> None:
    async with site.client() as browser:
        response = await browser.get(path)
    assert response.status_code == 303
    assert response.headers["location"].startswith("/sign-in")


async def test_a_stream_and_a_fragment_are_refused_in_their_own_way(site: Site) -> None:
    async with site.client() as browser:
        stream = await browser.get("/prod/sse", headers={"accept": "text/event-stream"})
        fragment = await browser.get("/prod/runs", headers={"hx-request": "true"})
    assert stream.status_code == 401
    assert (fragment.status_code, fragment.headers["hx-redirect"]) == (401, "/sign-in")


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {},
    ],
)
async def test_a_form_from_another_site_does_nothing(site: Site, headers: dict[str, str]) -> None:
    run = a_run(site.engine)
    async with site.client(**headers) as browser:
        browser.cookies.set("trigger-lite-3040", SESSION)
        form = {"form_token": mask(FORM_TOKEN)}
        response = await browser.post(f"/prod/runs/{run.id}/cancel", data=form)
    assert response.status_code == 403
    assert site.engine.run(run).status == "PENDING"


async def test_where_the_browser_says_no_more_the_origin_decides(site: Site) -> None:
    run = a_run(site.engine)
    async with site.client(origin="http://127.0.0.1:3040") as browser:
        browser.cookies.set("trigger-lite-3040", SESSION)
        response = await browser.post(f"/prod/runs/{run.id}/cancel", data={"form_token": mask(FORM_TOKEN)})
    assert response.status_code == 303
    assert site.engine.run(run).status == "CANCELED"


@pytest.mark.parametrize(
    "token",
    ["", "wrong", mask("another"), mask(FORM_TOKEN)[:-4], "é" * 10],
    ids=["none", "wrong", "another's", "cut", "no ascii"],
)
async def test_a_form_without_its_sessions_token_does_nothing(site: Site, token: str) -> None:
    run = a_run(site.engine)
    async with site.signed_in() as browser:
        response = await browser.post(f"/prod/runs/{run.id}/cancel", data={"form_token": token})
    assert response.status_code == 403
    assert "reload the page" in response.text
    assert site.engine.run(run).status == "PENDING"


async def test_the_token_may_come_in_a_header(site: Site) -> None:
    run = a_run(site.engine)
    async with site.signed_in(**{"x-form-token": mask(FORM_TOKEN)}) as browser:
        assert (await browser.post(f"/prod/runs/{run.id}/cancel")).status_code == 303


async def test_a_form_that_is_too_large_is_refused(site: Site) -> None:
    async with site.signed_in() as browser:
        assert (await browser.post("/sign-out", data={"x": "y" * 100_000})).status_code == 413


async def test_nothing_changes_by_looking(site: Site) -> None:
    run = a_run(site.engine)
    async with site.signed_in() as browser:
        for action in ("cancel", "replay"):
            assert (await browser.get(f"/prod/runs/{run.id}/{action}")).status_code in (404, 405)
    assert site.engine.run(run).status == "PENDING"


def test_a_mask_is_never_the_same_and_hides_the_same_token() -> None:
    first, second = mask("secret"), mask("secret")
    assert first != second and "secret" not in first
    assert unmask(first) == unmask(second) == "secret"
    assert unmask("not base64!") == ""


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("/prod/runs?tag=a", "/prod/runs?tag=a"),
        ("", "/"),
        ("https://evil.example", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/a\r\nset-cookie: x", "/"),
        ("javascript:alert(1)", "/"),
    ],
)
def test_after_signing_in_one_stays_on_this_site(given: str, path: str) -> None:
    assert local_path(given) == path
