"""Files are served under names that change with their content, compressed, forever."""

import gzip

from tests.support.site import Site
from trigger_lite.web.dashboard.assets import Assets


async def test_a_file_is_served_compressed_and_for_a_year(site: Site) -> None:
    url = Assets.load().url("app.js")
    async with site.client() as browser:
        response = await browser.get(url)
        plain = await browser.get(url, headers={"accept-encoding": "identity"})
    assert response.headers["content-encoding"] == "gzip"
    assert "immutable" in response.headers["cache-control"]
    assert response.headers["content-type"].startswith("text/javascript")
    assert response.content == plain.content and b"htmx" in plain.content


async def test_an_unknown_file_is_missing(site: Site) -> None:
    async with site.client() as browser:
        assert (await browser.get("/static/app.000000000000.js")).status_code == 404
        assert (await browser.get("/static/..%2f..%2fpyproject.toml")).status_code == 404


def test_files_stay_within_their_budgets() -> None:
    assets = Assets.load()
    css, script = assets.get("app.css"), assets.get("app.js")
    assert len(css.body) <= 24_000 and len(css.compressed) <= 7_000
    assert len(script.compressed) <= 24_000
    assert len(assets.get("icons.svg").compressed) <= 2_000
    assert gzip.decompress(css.compressed) == css.body


def test_our_own_script_is_small() -> None:
    own = Assets.load().get("app.js").body.rpartition(b"/* trigger-lite:")[2]
    assert len(own) <= 10_000
