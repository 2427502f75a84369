"""`make screenshot`: the README's picture of the dashboard, taken from a real server with real runs.

Serves a folder of tasks made for the picture, triggers runs that end in different ways, signs in by the
one-time link and photographs the page of one run and the list of all.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from playwright.sync_api import Page

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.browser import chromium  # noqa: E402 - found by the line above

COMMAND = [sys.executable, "-m", "trigger_lite"]
PICTURES = ROOT / "docs" / "pictures"
PASSWORD = "only for this picture"
START_SECONDS = 30
Scheme = Literal["light", "dark"]
TASKS = """
import time
from trigger_lite import AbortTaskRun, Ctx, Retry, get_logger, queue, task

log = get_logger()
crm = queue("crm", concurrency=1)

@task(queue=crm, retry=Retry(3, min="1s", max="2s"), tags=["nightly"])
def sync_contacts(ctx: Ctx, org: str, pages: int = 4) -> dict[str, int]:
    total = 0
    for page in range(1, pages + 1):
        time.sleep(0.15)
        total += 250
        log.info("page read", page=page, contacts=total)
        ctx.metadata.set("progress", page / pages)
        if page == 3 and ctx.attempt.number == 1:
            raise ConnectionError("the address book closed the connection on page 3")
    return {"contacts": total}

@task
def send_invoice(invoice: int) -> str:
    if invoice == 1042:
        raise AbortTaskRun("invoice 1042 has no address")
    return f"sent {invoice}"

@task
def resize_images(album: str, count: int) -> None:
    for number in range(1, count + 1):
        time.sleep(0.5)
        log.info("resized", image=f"{album}/{number:03}.jpg")
"""


def main() -> int:
    """Take the pictures; returns 0."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="trigger-lite-pictures-") as name:
        folder = Path(name)
        (folder / "tasks").mkdir()
        (folder / "tasks" / "jobs.py").write_text(TASKS)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TRIGGER_LITE_")}
        environment |= {"TRIGGER_LITE_DATA": str(folder / "data"), "PYTHONPATH": str(ROOT)}
        with serving(folder, environment) as link:
            run_id = trigger_runs(environment)
            photograph(link, run_id)
    return 0


@contextlib.contextmanager
def serving(folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """Serve the tasks; yields the sign-in link once the worker is connected."""
    command = [*COMMAND, "serve", str(folder / "tasks"), "--port", "0"]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        link = ""
        deadline = time.monotonic() + START_SECONDS
        for line in server.stdout:
            found = re.search(r"http\S+/sign-in\?token=\S+", line)
            link = found.group() if found else link
            if "connected; waiting" in line:
                break
            if time.monotonic() > deadline:
                raise SystemExit("the server did not start in time")
        yield link
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=60)


def trigger_runs(environment: dict[str, str]) -> str:
    """Trigger what the pictures show; returns the run that one of them is of."""
    for invoice in (1040, 1041, 1042, 1043):
        trigger(environment, "send_invoice", {"invoice": invoice}, "--tag", f"invoice_{invoice}", "--wait")
    shown = trigger(environment, "sync_contacts", {"org": "org_42"}, "--tag", "org_42", "--wait")
    trigger(environment, "send_invoice", {"invoice": 1044}, "--delay", "1h", "--tag", "invoice_1044")
    trigger(environment, "resize_images", {"album": "summer", "count": 120})
    for org in ("org_43", "org_44"):
        trigger(environment, "sync_contacts", {"org": org, "pages": 200}, "--tag", org)
    return shown


def trigger(environment: dict[str, str], task: str, payload: dict[str, object], *options: str) -> str:
    command = [*COMMAND, "trigger", task, json.dumps(payload), *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    found = re.search(r"run_[0-9a-z]+", done.stdout + done.stderr)
    if found is None:
        raise SystemExit(f"{task} was not triggered: {done.stderr}")
    return found.group()


def photograph(link: str, run_id: str) -> None:
    """Sign in and take the pictures, light and dark."""
    schemes: tuple[Scheme, ...] = ("light", "dark")
    with chromium() as browser:
        for scheme in schemes:
            page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme=scheme)
            sign_in(page, link)
            home = page.url.split("/prod/")[0]
            page.goto(f"{home}/prod/runs")
            page.wait_for_selector("tbody tr")
            page.screenshot(path=PICTURES / f"runs-{scheme}.png")
            page.goto(f"{home}/prod/runs/{run_id}")
            page.wait_for_selector("text=page read")
            page.screenshot(path=PICTURES / f"run-{scheme}.png")
            page.close()


def sign_in(page: Page, link: str) -> None:
    """Set the password by the link, or use it when the link was used already."""
    page.goto(link)
    if "token" not in page.url or page.locator("input[type=password]").count() == 0:
        page.goto(link.split("?")[0])
    page.fill("input[type=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/prod/**")


if __name__ == "__main__":
    sys.exit(main())
