"""The three jobs in a real browser: patient, Markdown, risk, upload, two overlays; a screenshot of each page."""

from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.ehr.demo.cases import read_cases
from core.safety import NOTICE
from pages.shared.navigation import ENTRIES
from tests.e2e.app_process import ROOT, go, settle
from tests.e2e.conftest import App

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
RADIOGRAPH = ROOT / "assets" / "samples" / "radiograph-3.png"


def save(page: Page, folder: Path, name: str) -> None:
    settle(page)
    page.screenshot(path=folder / f"{name}.png")


def test_read_score_see(app: App, page: Page, screenshots: Path):
    go(page, app.url)
    expect(page.get_by_text(NOTICE)).to_be_visible()
    save(page, screenshots, "start")

    page.get_by_role("link", name="Patients", exact=True).click()
    page.wait_for_selector("[data-testid=stDataFrame]")
    save(page, screenshots, "list")
    table = page.locator("[data-testid=stDataFrame]").bounding_box()
    assert table is not None
    page.mouse.click(table["x"] + 16, table["y"] + 54)  # the box that selects the first row; the table is a canvas
    page.wait_for_selector(".st-key-record-text li")
    expect(page.locator(".st-key-record-text")).to_contain_text("Patient Demographics")
    assert "subject=" in page.url
    assert "at=" in page.url

    case = read_cases(app.dataset)[0]
    go(page, f"{app.url}/patients?subject={case.subject_id}&at={case.prediction_time.isoformat()}")
    page.wait_for_selector(".st-key-record-text li")
    save(page, screenshots, "patients")
    for tab in ("Timeline", "Labs and vitals", "Events", "Compare"):
        page.get_by_role("tab", name=tab).click()
        save(page, screenshots, tab.split()[0].lower())

    page.get_by_role("link", name="Risk", exact=True).click()
    page.wait_for_url("**/risk**")
    settle(page)
    expect(page.locator(".stMain")).to_contain_text("Long LOS")
    expect(page.locator(".stMain")).to_contain_text("%")
    save(page, screenshots, "risk")

    page.get_by_role("link", name="Imaging", exact=True).click()
    page.wait_for_url("**/imaging**")
    settle(page)
    page.get_by_role("radio", name="Upload").click()
    page.locator("input[type=file]").first.set_input_files(RADIOGRAPH)
    settle(page)
    for method in ("Seg-Grad CAM", "Seg-HiRes-Grad CAM"):
        expect(page.get_by_text(method, exact=False).first).to_be_visible()
    images = page.locator(".stMain [data-testid=stImage] img, .stMain .stPlotlyChart")
    page.wait_for_function("() => document.querySelectorAll('.stMain img, .stMain .stPlotlyChart').length >= 2")
    assert images.count() >= 2
    save(page, screenshots, "imaging")


def test_on_a_narrow_page_the_groups_of_tasks_stand_above_each_other(app: App, page: Page):
    case, boxes = read_cases(app.dataset)[0], {}
    for width in (1280, 800):
        page.set_viewport_size({"width": width, "height": 900})
        go(page, f"{app.url}/risk?subject={case.subject_id}&at={case.prediction_time.isoformat()}")
        figures = page.locator(".st-key-stacks-groups .stPlotlyChart")
        figures.nth(3).wait_for()
        settle(page)
        boxes[width] = [figures.nth(number).bounding_box() for number in range(4)]
    wide, narrow = boxes[1280], boxes[800]
    assert wide[3]["x"] > wide[0]["x"] + wide[0]["width"]
    assert {round(box["x"]) for box in narrow} == {round(narrow[0]["x"])}
    assert all(upper["y"] + upper["height"] < lower["y"] for upper, lower in pairwise(narrow))
    assert min(box["width"] for box in narrow) > 300  # names and numbers have room on one line


def test_back_from_a_prepared_case_is_start(app: App, page: Page):
    case = read_cases(app.dataset)[0]
    go(page, app.url)
    page.locator(f".st-key-case-demo-{case.subject_id} button", has_text="Score").click()
    page.wait_for_url(f"**/risk?*subject={case.subject_id}*")
    settle(page)
    page.go_back()
    expect(page.get_by_text("Take the tour on a prepared case")).to_be_visible()
    settle(page)
    assert "subject=" not in page.url
    page.go_forward()
    page.wait_for_url(f"**/risk?*subject={case.subject_id}*")
    expect(page.locator(".st-key-tight-as-of")).to_be_visible()


def test_tour_goes_through_the_pages(app: App, page: Page):
    go(page, app.url)
    page.locator(".st-key-tour-start button").click()
    page.wait_for_selector(".st-key-record-text li")
    expect(page.locator(".st-key-tour")).to_contain_text("Tour 1 of 3: Read")
    page.get_by_role("tab", name="Timeline").click()  # the address now has a tab, which the next page does not
    page.wait_for_url("**tab=Timeline**")
    page.locator(".st-key-tour-next button").click()
    expect(page.locator(".st-key-tour")).to_contain_text("Tour 2 of 3: Score", timeout=60_000)
    page.locator(".st-key-tour-next button").click()
    expect(page.locator(".st-key-tour")).to_contain_text("Tour 3 of 3: See", timeout=60_000)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.title)
def test_every_page_opens_by_its_address(app: App, browser, wide_screenshots: Path, entry, scheme):
    """A link to any page shows that page, framed, without an error, in both themes."""
    context = browser.new_context(viewport={"width": 1920, "height": 1080}, color_scheme=scheme)
    tab = context.new_page()
    go(tab, f"{app.url}/{'' if entry is ENTRIES[0] else Path(entry.script).stem}")
    expect(tab.locator(".st-key-safety-banner").get_by_text(NOTICE)).to_be_visible()
    expect(tab.get_by_text("Something went wrong")).to_have_count(0)
    tab.screenshot(path=wide_screenshots / f"{Path(entry.script).stem}-1920-{scheme}.png")
    context.close()
