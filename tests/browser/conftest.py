"""A headless Chromium, and the page of the tiny preset in it, without a network."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")


def chromium() -> str:
    """Return the path of a Chromium. If there is none, root on Debian installs one."""
    if not any(map(shutil.which, NAMES)):
        if os.geteuid() or not shutil.which("apt-get"):
            pytest.fail(f"none of {', '.join(NAMES)} is on the path, and only root on Debian can install one here")
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for words in (["update"], ["install", "-y", "--no-install-recommends", "chromium", "fonts-liberation"]):
            subprocess.run(["apt-get", "-qq", *words], check=True, env=quiet, stdout=subprocess.DEVNULL)
    return next(path for name in NAMES if (path := shutil.which(name)))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])


@dataclass
class Visit:
    """An open page, and its faults so far."""

    page: Page
    results: Path
    faults: list[str]


@pytest.fixture(scope="module", params=[1280, 390], ids=["desktop", "phone"])
def visit(request: pytest.FixtureRequest, browser: Browser, tiny: Path) -> Iterator[Visit]:
    context = browser.new_context(viewport={"width": request.param, "height": 844})
    context.set_offline(True)
    page, faults = context.new_page(), []

    def asked(wanted: Request) -> None:
        if not wanted.url.startswith(("file:", "data:")):
            faults.append(f"asked for {wanted.url}")

    page.on("request", asked)
    page.on("requestfailed", lambda wanted: faults.append(f"did not get {wanted.url[:80]}"))
    page.on("console", lambda message: faults.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto((tiny / "report.html").as_uri())
    yield Visit(page, tiny, faults)
    assert not faults
    context.close()
