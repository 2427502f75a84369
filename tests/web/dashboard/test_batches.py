"""The pages of batches: the list, one with its progress and its runs, giving one up."""

import re

from tests.support.batching import a_batch, add, fill, now, refuse, sealed
from tests.support.builders import a_started_run, a_task, a_version, claim, fail, start, succeed
from tests.support.site import Site
from trigger_lite.web.dashboard.batches import ITEMS, PAGE


async def text_of(site: Site, path: str) -> str:
    async with site.signed_in() as browser:
        answer = await browser.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


def words(html: str) -> str:
    """What a page says, without its tags."""
    main = html.partition("<main")[2].partition("</main>")[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", main))


def progress(html: str) -> list[tuple[str, str]]:
    """Value and maximum of every progress bar."""
    return [(v, m) for m, v in re.findall(r'<progress max="(\d+)" value="(\d+)"', html)]


async def test_a_batch_shows_how_far_it_is_and_its_runs(site: Site) -> None:
    """BA-13, BA-15, BA-17: in the order of the items, refused ones among them with their reason."""
    a_version(site.engine)
    batch = a_batch(site.engine, 3)
    add(site.engine, batch, 0)
    refuse(site.engine, batch, 1, "the <queue> is full")
    add(site.engine, batch, 2)
    sealed(site.engine, batch)
    first, third = claim(site.engine, 2)
    succeed(site.engine, start(site.engine, first))
    html = await text_of(site, f"/prod/batches/{batch.id}")
    said = words(html)
    assert "Batch of 3" in said and "2 of 3 over, 1 not triggered" in said and "Partly failed" in said
    assert progress(html) == [("2", "3")]
    assert re.search(
        r"0 run_\S+ resize Completed 1 resize Not triggered the &lt;queue&gt; is full 2 run_", said
    )
    assert 'hx-trigger="every 1s"' in html
    assert f'href="/prod/bulk/new?batch={batch.id}&amp;kind=cancel"' in html
    assert "kind=replay" not in html
    fail(site.engine, start(site.engine, third))
    html = await text_of(site, f"/prod/batches/{batch.id}")
    assert "Completed 3 of 3 over, 1 not triggered" in words(html) and "hx-trigger" not in html
    assert "ValueError: no such file" in html
    assert f"/prod/bulk/new?batch={batch.id}&amp;kind=replay&amp;status=failed" in html


async def test_a_batch_that_is_filled_can_be_given_up(site: Site) -> None:
    """BA-09"""
    batch = a_batch(site.engine, 2)
    add(site.engine, batch, 0)
    html = await text_of(site, f"/prod/batches/{batch.id}")
    assert "Receiving 1 of 2 received" in words(html)
    token = re.search(r'name="form_token" value="([^"]+)"', html.partition("/abort")[2])
    assert token is not None
    async with site.signed_in() as browser:
        answer = await browser.post(f"/prod/batches/{batch.id}/abort", data={"form_token": token[1]})
        assert (answer.status_code, answer.headers["location"]) == (303, f"/prod/batches/{batch.id}")
    assert now(site.engine, batch).status == "ABORTED"
    html = await text_of(site, f"/prod/batches/{batch.id}")
    assert "Aborted 1 of 2 received" in words(html) and "/abort" not in html


async def test_a_run_leads_to_its_batch_and_the_batch_to_who_waits_for_it(site: Site) -> None:
    a_version(site.engine, a_task("parent"), a_task())
    parent = a_started_run(site.engine, "parent")
    batch = a_batch(site.engine, 1, parent=parent, idempotency_key="night")
    (run,) = fill(site.engine, batch)
    assert f'href="/prod/batches/{batch.id}"' in await text_of(site, f"/prod/runs/{run.id}")
    html = await text_of(site, f"/prod/batches/{batch.id}")
    assert f'href="/prod/runs/{parent.id}"' in html and "Waited for by" in html and "night" in html


async def test_a_failed_run_that_stands_in_has_a_page(site: Site) -> None:
    """TR-26: though it has no steps to show."""
    a_version(site.engine, a_task("parent"), a_task())
    batch = a_batch(site.engine, 1, parent=a_started_run(site.engine, "parent"))
    refuse(site.engine, batch, 0, "the queue is full")
    sealed(site.engine, batch)
    async with site.signed_in() as browser:
        html = (await browser.get("/prod/runs?status=failed")).text
        found = re.search(r'href="(/prod/runs/run_\w+)"', html)
        assert found is not None
        page = await browser.get(found[1])
    assert page.status_code == 200 and "the queue is full" in page.text


async def test_a_large_batch_is_shown_page_by_page(site: Site) -> None:
    batch = a_batch(site.engine, ITEMS + 2)
    fill(site.engine, batch)
    first = await text_of(site, f"/prod/batches/{batch.id}")
    assert first.count('class="num muted"') == ITEMS
    assert f"/prod/batches/{batch.id}?from={ITEMS}" in first and "Previous" not in first
    rest = await text_of(site, f"/prod/batches/{batch.id}?from={ITEMS}")
    assert rest.count('class="num muted"') == 2 and "Previous" in words(rest) and "Next" not in words(rest)
    assert f'hx-get="/prod/batches/{batch.id}?from={ITEMS}"' in rest
    assert (await text_of(site, f"/prod/batches/{batch.id}?from=nonsense")).count(
        'class="num muted"'
    ) == ITEMS


async def test_batches_are_listed_newest_first_by_pages(site: Site) -> None:
    assert "No batch yet." in await text_of(site, "/prod/batches")
    made = [a_batch(site.engine, 2) for _ in range(PAGE + 1)]
    add(site.engine, made[-1], 0)
    first = await text_of(site, "/prod/batches")
    linked = re.findall(r'href="/prod/batches/(batch_\w+)"', first)
    assert linked == [batch.id for batch in reversed(made[1:])]
    assert "1 of 2 received" in first and 'hx-trigger="every 2s"' in first
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older is not None
    second = await text_of(site, older[1].replace("&amp;", "&"))
    assert re.findall(r'href="/prod/batches/(batch_\w+)"', second) == [made[0].id]
    assert 'rel="prev"' in second and "hx-trigger" not in second


async def test_runs_can_be_narrowed_to_a_batch(site: Site) -> None:
    batch = a_batch(site.engine, 2)
    runs = fill(site.engine, batch)
    other = a_batch(site.engine, 1)
    fill(site.engine, other)
    html = await text_of(site, f"/prod/runs?batch={batch.id}")
    assert set(re.findall(r'id="r-(run_\w+)"', html)) == {run.id for run in runs}


async def test_a_batch_of_another_environment_is_not_shown(site: Site) -> None:
    batch = a_batch(site.engine, 1)
    async with site.signed_in() as browser:
        for path in (f"/dev/batches/{batch.id}", "/prod/batches/batch_none"):
            answer = await browser.get(path)
            assert answer.status_code == 404 and "There is no such batch" in answer.text
