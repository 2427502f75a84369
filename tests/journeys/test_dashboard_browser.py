"""The dashboard in a real browser, before a real server with a real worker."""

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.browser import watched_page
from tests.support.processes import Process, StartCommand, trigger_lite_command
from tests.support.real_server import RealServer

if TYPE_CHECKING:
    from playwright._impl._api_structures import SetCookieParam
    from playwright.sync_api import Browser, ConsoleMessage, Page

PASSWORD: Final = "correct horse battery"
TASKS: Final = """\
import time
from pathlib import Path

from trigger_lite import Retry, metadata, task


@task
def greet(name: str) -> dict[str, str]:
    print(f"greeting {name}")
    return {"greeting": f"Hello, {name}!"}


@task
def patient(gate: str) -> str:
    print("begun", flush=True)
    metadata.set("progress", 0.4)
    while not Path(gate).exists():
        time.sleep(0.05)
    print("gate is open", flush=True)
    return "waited"


@task(retry=Retry(3, min="0s", max="1s"))
def stubborn(gates: list[str]) -> str:
    while not Path(gates[0]).exists():
        time.sleep(0.05)
    for gate in gates:
        if not Path(gate).exists():
            raise TimeoutError(f"{Path(gate).name} is shut")
    return "through"


@task(retry=Retry(1))
def broken() -> None:
    raise ValueError("no such <b>picture</b>")
"""


@dataclass(frozen=True)
class Place:
    """A page, signed in, before a server whose worker is connected. `folder` is the test's own."""

    page: "Page"
    server: RealServer
    folder: Path
    errors: list[str]

    def open(self, path: str) -> None:
        self.page.goto(self.server.url + path)

    def open_run(self, run_id: str) -> None:
        self.open(f"/prod/runs/{run_id}")

    def wait_until_live(self) -> None:
        self.page.locator("#live-state[data-state=open]").wait_for()

    def has_no_sideways_scroll(self) -> bool:
        return bool(self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, _ports: Iterator[int]) -> Iterator[RealServer]:
    """One server with one worker for all the tests here."""
    folder = tmp_path_factory.mktemp("dashboard")
    (folder / "tasks").mkdir()
    (folder / "tasks/tasks.py").write_text(TASKS)
    with ExitStack() as stack:

        def start(*arguments: str | Path, directory: Path = folder, **environment: str) -> Process:
            command = [*trigger_lite_command(), *arguments]
            return stack.enter_context(Process(command, directory=directory, environment=environment))

        running = RealServer(start, folder, next(_ports))
        running.start()
        worker = running.start_worker(folder / "tasks")
        yield running
        worker.stop()
        running.process.stop()


@pytest.fixture(scope="module")
def session(browser: "Browser", server: RealServer) -> "list[SetCookieParam]":
    """The cookies of a browser that signed in by the link that the server printed."""
    link = server.process.wait_for_line(r"http\S+/sign-in\?token=\S+")[0]
    with watched_page(browser) as page:
        page.goto(link)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Set password and sign in").click()
        page.get_by_role("heading", name="Runs").wait_for()
        return [
            {"name": cookie["name"], "value": cookie["value"], "url": server.url}
            for cookie in page.context.cookies()
        ]


@pytest.fixture
def place(
    browser: "Browser", server: RealServer, session: "list[SetCookieParam]", tmp_path: Path
) -> Iterator[Place]:
    """A new page of a signed-in browser; the test fails on any error in its console."""
    errors: list[str] = []
    with watched_page(browser) as page:
        page.on("console", lambda message: _note_error(message, errors))
        page.context.add_cookies(session)
        yield Place(page, server, tmp_path, errors)
    assert not errors, errors


def _note_error(message: "ConsoleMessage", errors: list[str]) -> None:
    if message.type == "error":
        errors.append(message.text)


def test_a_password_set_by_link_signs_in_afterwards(place: Place) -> None:
    page = place.page
    page.context.clear_cookies()
    place.open("/prod/runs?tag=mine")
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("That is not the password").wait_for()
    place.errors.clear()  # the browser reports the refusal's status
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Runs").wait_for()
    assert page.url.endswith("/prod/runs?tag=mine")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="Sign in").wait_for()


def test_the_first_run_appears_by_itself(place: Place) -> None:
    page = place.page
    place.open("/dev/runs")
    page.get_by_text("Make the first run in dev").wait_for()
    place.wait_until_live()
    run_id = place.server.trigger("greet", {"name": "world"}, environment="dev")
    page.locator(f"#r-{run_id}").get_by_text("Queued").wait_for()
    page.locator(f"#r-{run_id} a.over").click()
    page.get_by_text("waiting for a worker: none is connected").wait_for()


def test_rows_follow_their_runs_without_a_reload(place: Place) -> None:
    page, gate = place.page, place.folder / "gate"
    run_id = place.server.trigger("patient", {"gate": str(gate)})
    place.server.reaches(run_id, "EXECUTING")
    place.open("/prod/runs")
    place.wait_until_live()
    page.evaluate("window.sameDocument = true")
    page.locator(f"#r-{run_id}").get_by_text("Executing").wait_for()
    page.locator("#count-running", has_text="1").wait_for()
    gate.touch()
    page.locator(f"#r-{run_id}").get_by_text("Completed").wait_for()
    page.locator("#count-running", has_text="0").wait_for()
    second = place.server.trigger("greet", {"name": "again"})
    page.get_by_role("link", name="1 new run").wait_for()
    page.keyboard.press(".")
    page.locator(f"#r-{second}").wait_for()
    assert page.evaluate("window.sameDocument") is None  # the new runs came with a page of their own


def test_the_page_of_a_run_follows_it_to_its_end(place: Place) -> None:
    page, gate = place.page, place.folder / "gate"
    run_id = place.server.trigger("patient", {"gate": str(gate)})
    place.open_run(run_id)
    place.wait_until_live()
    page.evaluate("window.sameDocument = true")
    log = page.get_by_role("log")
    log.get_by_text("begun").wait_for()
    page.get_by_text("40 %").wait_for()
    page.get_by_text("running, attempt 1").wait_for()
    gate.touch()
    log.get_by_text("gate is open").wait_for()
    page.locator("#p-result").get_by_text("waited").wait_for()
    page.locator("#p-head").get_by_text("Completed").wait_for()
    assert page.evaluate("window.sameDocument") is True
    assert log.locator(".l").count() == 2


def test_a_run_is_canceled_after_asking_and_replayed(place: Place) -> None:
    page = place.page
    run_id = place.server.trigger("patient", {"gate": str(place.folder / "gate")})
    place.server.reaches(run_id, "EXECUTING")
    place.open_run(run_id)
    place.wait_until_live()
    page.keyboard.press("c")
    page.get_by_role("button", name="Keep it").click()
    assert place.server.run(run_id)["status"] == "EXECUTING"
    page.locator("#p-head").get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel it").click()
    page.locator("#p-head").get_by_text("Canceled", exact=True).wait_for()
    page.keyboard.press("r")
    page.get_by_text("Replay of").wait_for()
    again = page.url.rpartition("/")[2]
    assert again != run_id
    (place.folder / "gate").touch()
    assert place.server.finished(again)["output"] == "waited"


def test_an_error_is_shown_with_the_line_it_came_from(place: Place) -> None:
    run_id = place.server.trigger("broken")
    place.server.until(run_id, lambda run: bool(run["isFailed"]))
    place.open_run(run_id)
    error = place.page.locator("#p-result")
    error.get_by_text("no such <b>picture</b>", exact=True).wait_for()
    assert re.search(r"tasks\.py:\d+ in broken", error.inner_text())
    place.open("/prod/runs?status=failed")
    assert "ValueError: no such <b>picture</b>" in place.page.locator(f"#r-{run_id}").inner_text()


def test_what_one_unfolded_stays_open_while_the_page_changes(place: Place) -> None:
    page, gates = place.page, [str(place.folder / name) for name in ("first", "second")]
    run_id = place.server.trigger("stubborn", {"gates": gates}, metadata={"deep": {"a": {"b": {"c": 1}}}})
    place.server.reaches(run_id, "EXECUTING")
    place.open_run(run_id)
    place.wait_until_live()
    page.locator("#p-metadata summary", has_text="deep").click()
    (place.folder / "first").touch()
    page.locator("#attempt-1 summary").first.click()
    page.locator("#p-head").get_by_text("Failed").wait_for()
    assert page.locator("#attempt-1").get_attribute("open") is not None
    assert page.locator("#p-metadata summary", has_text="deep").locator("..").get_attribute("open") is None
    assert page.locator(".attempts > li").count() == 3


def test_everything_can_be_done_from_the_keyboard(place: Place) -> None:
    page = place.page
    runs = [place.server.trigger("greet", {"name": str(number)}) for number in range(3)]
    for run_id in runs:
        place.server.finished(run_id)
    place.open("/prod/runs")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.locator("#run-id").wait_for()
    assert page.locator("#run-id").inner_text() == runs[1]
    page.keyboard.press("?")
    page.get_by_role("heading", name="Keyboard shortcuts").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("r")
    page.get_by_role("heading", name="Runs").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("task:greet")
    page.keyboard.press("Enter")
    page.wait_for_url("**/prod/runs?task=greet")


def test_picked_rows_stay_picked_and_are_replayed_together(place: Place) -> None:
    """CN-14: also when a row is drawn anew meanwhile; the progress page follows by itself."""
    page, gate = place.page, place.folder / "gate"
    others = [place.server.trigger("greet", {"name": "other"}) for _ in range(2)]
    run_id = place.server.trigger("patient", {"gate": str(gate)})
    place.server.reaches(run_id, "EXECUTING")
    place.open("/prod/runs")
    place.wait_until_live()
    page.locator(f"#r-{others[0]} input").check()
    page.keyboard.press("j")
    page.keyboard.press("x")
    gate.touch()
    page.locator(f"#r-{run_id}").get_by_text("Completed").wait_for()
    assert page.locator(f"#r-{run_id} input").is_checked()
    assert page.evaluate("document.activeElement.matches('a.over')")
    page.get_by_role("button", name="Replay…").click()
    page.get_by_role("heading", name="Replay 2 runs?").wait_for()
    page.get_by_label("Name").fill("once more")
    page.get_by_role("button", name="Replay them").click()
    page.get_by_role("heading", name="once more").wait_for()
    page.get_by_text("2 of 2 replayed").wait_for()
    page.get_by_text("Completed", exact=True).wait_for()
    page.get_by_role("link", name="Runs it touched").click()
    page.locator(f"#r-{run_id}").wait_for()
    assert page.locator(".runs tbody").count() == 4


def test_a_run_is_replayed_with_another_payload(place: Place) -> None:
    """CN-11: what cannot be read is said, and stays as it was typed."""
    page = place.page
    run_id = place.server.trigger("greet", {"name": "Ada"})
    place.server.finished(run_id)
    place.open_run(run_id)
    page.keyboard.press("e")
    page.get_by_label("Payload").fill('{"name": Grace}')
    page.get_by_role("button", name="Replay").click()
    page.get_by_text("The payload is not JSON").wait_for()
    place.errors.clear()  # the browser reports the refusal's status
    page.get_by_label("Payload").fill('{"name": "Grace"}')
    page.get_by_role("button", name="Replay").click()
    page.get_by_text("Replay of").wait_for()
    assert place.server.finished(page.url.rpartition("/")[2])["output"] == {"greeting": "Hello, Grace!"}


def test_live_updates_can_be_paused(place: Place) -> None:
    page = place.page
    place.open("/prod/runs")
    place.wait_until_live()
    page.get_by_role("button", name="Pause live updates").click()
    page.get_by_text("Paused").wait_for()
    assert page.locator("#live").count() == 0
    page.keyboard.press("p")
    place.wait_until_live()


def test_the_appearance_is_switched_and_kept(place: Place) -> None:
    page = place.page
    place.open("/prod/runs")
    dark = "rgb(15, 18, 22)"
    for name, wanted in (("Dark", dark), ("Light", "rgb(255, 255, 255)"), ("Dark", dark)):
        page.get_by_label("Appearance").click()
        with page.expect_response("**/theme"):
            page.get_by_role("button", name=name).click()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == wanted
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark


@pytest.mark.parametrize("width", [320, 390, 720, 1280])
def test_no_page_scrolls_sideways(place: Place, width: int) -> None:
    page = place.page
    done = place.server.trigger(
        "greet", {"name": "x" * 300}, tags=["a-rather-long-tag-" + "y" * 80, "second"]
    )
    failed = place.server.trigger("broken")
    place.server.finished(done)
    place.server.until(failed, lambda run: bool(run["isFailed"]))
    page.set_viewport_size({"width": width, "height": 844})
    for path in (
        "/prod/runs",
        f"/prod/runs/{done}",
        f"/prod/runs/{failed}",
        "/dev/runs",
        "/prod/runs?task=none",
        f"/prod/runs/{done}/edit",
        f"/prod/bulk/new?kind=replay&task=greet&tag={'y' * 80}",
        "/prod/bulk/new?kind=cancel&task=greet",
        "/prod/bulk",
    ):
        place.open(path)
        page.locator("#main").wait_for()
        assert place.has_no_sideways_scroll(), path


def test_it_reads_and_acts_without_a_script(
    place: Place, browser: "Browser", session: "list[SetCookieParam]"
) -> None:
    run_id = place.server.trigger("patient", {"gate": str(place.folder / "gate")})
    place.server.reaches(run_id, "EXECUTING")
    context = browser.new_context(java_script_enabled=False)
    try:
        context.add_cookies(session)
        page = context.new_page()
        page.goto(place.server.url + "/prod/runs")
        page.locator(f"#r-{run_id} a.over").click()
        page.get_by_role("button", name="Cancel").click()
        page.locator("#p-head").get_by_text(re.compile("Cancel(ed|ing)")).wait_for()
    finally:
        context.close()
    assert place.server.reaches(run_id, "CANCELED")


def test_a_stopping_server_does_not_wait_for_open_pages(
    browser: "Browser", start_command: StartCommand, tmp_path: Path, free_port: int
) -> None:
    server = RealServer(start_command, tmp_path, free_port)
    server.start()
    link = server.process.wait_for_line(r"http\S+/sign-in\?token=\S+")[0]
    with watched_page(browser) as page:
        page.goto(link)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Set password and sign in").click()
        page.locator("#live-state[data-state=open]").wait_for()
        began = time.monotonic()
        assert server.process.stop(seconds=10) == 0
        assert time.monotonic() - began < 2.5
        page.get_by_text("Connecting…").wait_for()
