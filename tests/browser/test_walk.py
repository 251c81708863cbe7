"""The whole story in a browser: steward, researcher, compliance, auditor, administrator.

Every page on the way is looked at by axe-core (no serious or critical violation), must fit a screen 380 wide, and is
photographed light, dark and narrow into the folder TABLEGATE_SCREENSHOTS names.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import PASSWORD, PATIENCE_SECONDS, Running
from tests.end_to_end.scene import CANARY, DOCUMENT, write_table

playwright = pytest.importorskip("playwright.sync_api", reason="`make test-browser` installs it")
pytestmark = pytest.mark.browser

AXE = Path(__file__).with_name("vendor") / "axe-4.14.1.min.js"
WIDE, NARROW = {"width": 1180, "height": 860}, {"width": 380, "height": 780}
SERIOUS = ("serious", "critical")


class Visitor:
    """Somebody in front of a browser."""

    def __init__(self, browser: playwright.Browser, running: Running, shots: Path) -> None:
        self.context = browser.new_context(viewport=WIDE, accept_downloads=True)
        self.page = self.context.new_page()
        self.url, self.shots = running.url, shots
        self.complaints: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.set_default_timeout(1000 * PATIENCE_SECONDS)

    def _heard(self, message: playwright.ConsoleMessage) -> None:
        superseded = message.text.startswith(
            ("htmx:afterRequest", "htmx:sendAbort")
        )  # a quote for what was typed since
        if message.type == "error" and not superseded:
            self.complaints.append(message.text)

    def go(self, path: str) -> None:
        """Open an address of the service."""
        self.page.goto(self.url + path)

    def sign_in(self, name: str) -> None:
        """By keyboard alone, as somebody without a mouse does."""
        self.go("/sign-in")
        assert self.page.evaluate("document.activeElement.id") == "name"
        self.page.keyboard.type(name)
        self.page.keyboard.press("Tab")
        self.page.keyboard.type(PASSWORD)
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(f"{self.url}/")

    def click(self, role: str, name: str) -> None:
        """A button or link by the name a screen reader says."""
        self.page.get_by_role(role, name=name, exact=True).first.click()

    def open(self, name: str) -> None:
        """Unfold a part of the page."""
        self.page.locator("summary", has_text=name).first.click()

    def reads(self, text: str) -> None:
        """Wait until a text is on the page."""
        playwright.expect(self.page.get_by_text(text).first).to_be_visible(timeout=1000 * PATIENCE_SECONDS)

    def until(self, path: str, text: str) -> None:
        """Load a page again and again until a text is on it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        self.go(path)
        while not self.page.get_by_text(text).count():
            assert time.monotonic() < deadline, f"not on {path}: {text}"
            self.page.wait_for_timeout(1000)
            self.go(path)
        self.page.wait_for_load_state()

    def look(self, name: str) -> None:
        """Check the page as it is now, light, dark and narrow."""
        self.page.evaluate(AXE.read_text())
        for scheme in ("light", "dark"):
            self.page.emulate_media(color_scheme=scheme)
            self.page.screenshot(path=self.shots / f"{name}-{scheme}.png", full_page=True)
            found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
            serious = [_told(one) for one in found if one["impact"] in SERIOUS]
            assert serious == [], f"{name}, {scheme}"
        self.page.emulate_media(color_scheme="light")
        self.page.set_viewport_size(NARROW)
        self.page.screenshot(path=self.shots / f"{name}-narrow.png", full_page=True)
        width = self.page.evaluate("document.scrollingElement.scrollWidth")
        self.page.set_viewport_size(WIDE)
        assert width <= NARROW["width"], f"{name} is {width} wide on a narrow screen"
        assert self.complaints == [], name


def _told(violation: dict[str, Any]) -> str:
    return f"{violation['id']}: {violation['help']} {[node['html'][:120] for node in violation['nodes'][:3]]}"


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(os.environ.get("TABLEGATE_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_the_story(chromium: playwright.Browser, running: Running, shots: Path, tmp_path: Path) -> None:
    @contextmanager
    def visiting(name: str) -> Iterator[Visitor]:
        visitor = Visitor(chromium, running, shots)
        visitor.sign_in(name)
        yield visitor
        assert visitor.complaints == []
        visitor.context.close()

    stranger = Visitor(chromium, running, shots)
    stranger.go("/records")
    stranger.look("01-sign-in")
    stranger.page.fill("#name", "Stella Ward")
    stranger.page.fill("#password", "not her password")
    stranger.complaints.clear()
    stranger.click("button", "Sign in")
    stranger.reads("Name and password do not fit.")
    stranger.complaints.clear()
    stranger.look("02-sign-in-refused")
    stranger.context.close()

    with visiting("Stella Ward") as steward:
        steward.look("03-catalogue-empty")
        steward.click("link", "Register a dataset")
        steward.page.fill("#title", "Household survey 2024")
        steward.page.fill("#table_schema", "fields: nonsense")
        steward.click("button", "Register")
        steward.reads("What to do:")
        steward.complaints.clear()
        steward.look("04-register-refused")
        document = json.loads(json.dumps(DOCUMENT))
        document["privacy"]["cap"] = {"epsilon": 4, "delta": 1e-5}
        steward.page.fill("#table_schema", json.dumps(document, indent=1))
        steward.click("button", "Register")
        steward.reads("registered, no table yet")
        steward.look("05-dataset-registered")
        table = tmp_path / "private.csv"
        write_table(table, 400)
        steward.page.set_input_files("#file", table)
        steward.click("button", "Upload")
        steward.reads("Ask for a release")
        steward.page.wait_for_load_state()
        steward.look("06-dataset-ready")
        address = steward.page.url.removeprefix(running.url)

    with visiting("Rita Search") as researcher:
        researcher.click("link", "Household survey 2024")
        researcher.look("07-dataset-researcher")
        with researcher.page.expect_download() as mock:
            researcher.click("button", "Download CSV")
        assert mock.value.path().read_text().splitlines()[0] == "region,age,income,approved"
        researcher.click("link", "Ask for a release")
        researcher.page.select_option("#synthesizer", "independent")
        researcher.page.select_option("#policy", "open")
        researcher.page.fill("#epsilon", "9")
        researcher.reads("does not fit")
        researcher.look("08-request-too-much")
        researcher.page.fill("#epsilon", "1")
        researcher.page.fill("#purpose", "Teaching material for the spring course on survey methods")
        researcher.page.fill("#recipient", "Department of statistics")
        researcher.reads("strong protection")
        researcher.look("09-request")
        researcher.click("button", "Ask, and charge the budget")
        researcher.look("10-release-at-work")
        researcher.reads("It waits for people")
        researcher.look("11-release-in-review")
        release = researcher.page.url.removeprefix(running.url)
        assert researcher.page.goto(f"{running.url}{release}/review").status == 403
        researcher.complaints.clear()
        researcher.look("12-forbidden")

    with visiting("Carl Compliance") as compliance:
        compliance.look("13-catalogue")
        compliance.click("link", "Releases")
        compliance.look("14-releases")
        compliance.click("link", "Decide")
        compliance.open("checks that passed")
        compliance.look("15-review-room")
        compliance.page.fill("#reason", "Every check passed, and the purpose is teaching.")
        compliance.click("button", "Approve")
        compliance.reads("Every check passed, and the purpose")
        compliance.look("16-review-decided")
        compliance.click("link", "Policies")
        compliance.open("checks")
        compliance.look("17-policies")

    with visiting("Rita Search") as researcher:
        researcher.go(release)
        researcher.reads("I accept these terms")
        researcher.page.wait_for_load_state()
        researcher.look("18-release-terms")
        researcher.click("button", "I accept these terms")
        with researcher.page.expect_download() as taken:
            researcher.click("link", "CSV")
        content = taken.value.path().read_text()
        assert content.startswith("region,age,income,approved\n")
        assert CANARY not in content
        researcher.open("All files of the bundle")
        researcher.look("19-release-published")
        researcher.click("link", "Open the report")
        researcher.page.wait_for_load_state()
        assert "release report" in researcher.page.title()
        researcher.complaints.clear()

    with visiting("Aude Auditor") as auditor:
        auditor.click("link", "Records")
        auditor.page.wait_for_load_state()
        auditor.click("button", "Verify the chains")
        auditor.reads("The chains hold")
        auditor.look("20-records")

    with visiting("Ada Admin") as admin:
        admin.click("link", "Workers")
        admin.reads("alive")
        admin.look("21-workers")
        admin.click("link", "People")
        admin.look("22-people")
        admin.click("link", "You")
        admin.page.fill("#label", "nightly report")
        admin.click("button", "Make a key")
        admin.reads("It is shown this once.")
        admin.look("23-you")

    with visiting("Stella Ward") as steward:
        steward.go(address)
        steward.look("24-dataset-charged")
        steward.go(release)
        steward.open("Set a monitor")
        steward.page.fill("#monitor-epsilon", "2")
        steward.page.fill("#monitor-days", "0")
        steward.look("25-monitor-form")
        steward.click("button", "Set it")
        steward.reads("whenever it comes")
        steward.look("26-monitor")
        steward.go(address)
        moved = tmp_path / "moved.csv"
        moved.write_text(table.read_text().replace(",false\n", ",true\n"))
        steward.page.set_input_files("#file", moved)
        steward.click("button", "Upload")
        steward.reads("checked")
        steward.until(release, "a new release is proposed")
        steward.look("27-proposal")
        steward.go(address)
        steward.reads("a new release is proposed")
        steward.look("28-dataset-proposal")
        steward.click("link", "Fill in the request")
        steward.reads("The population's total would become")
        assert steward.page.input_value("#recipient") == "Department of statistics"
        steward.look("29-request-filled-in")
        steward.go("/me")
        steward.reads("drift is proven")
        steward.go(release)
        steward.open("End downloads")
        steward.page.fill("#withdraw-reason", "The survey's codebook was corrected.")
        steward.click("button", "Withdraw")
        steward.reads("It was withdrawn")

    with visiting("Rita Search") as researcher:
        researcher.go("/me")
        researcher.reads("was withdrawn. Stop using it")
        researcher.look("30-notice")
        researcher.click("button", "I have read it")
        researcher.click("button", "Sign out")
        researcher.page.wait_for_url(f"{running.url}/sign-in")
