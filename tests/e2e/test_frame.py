"""What only a browser can show of the frame: banner in sight, nothing from data renders, nothing calls out."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from core.safety import NOTICE
from tests.e2e.app_process import STEP_SECONDS, go, running, settle
from tests.e2e.conftest import App
from tests.pages import cohort

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def hostile(browser: Browser, tmp_path_factory: pytest.TempPathFactory):
    """The app on the page tests' cohort, which has a record full of mark-up."""
    home = tmp_path_factory.mktemp("hostile")
    folder = cohort.write(home / "cohort")
    with running(home, folder) as url:
        yield App(url, folder, home)


def test_first_deep_link_of_a_process_is_framed(hostile: App, page: Page):
    """Streamlit would run the page's script alone here, found by its old convention: no banner, no sign-in."""
    go(page, f"{hostile.url}/patients?subject={cohort.RICH}")
    expect(page.get_by_text(NOTICE)).to_be_visible()
    assert f"subject={cohort.RICH}" in page.url
    expect(page.locator("[data-testid=stSidebar]")).to_have_css("width", "232px")  # and not Streamlit's own width
    expect(page.get_by_role("link", name="Imaging", exact=True)).to_be_visible()


def test_banner_stays_in_sight(hostile: App, page: Page):
    go(page, f"{hostile.url}/patients?subject={cohort.RICH}&tab=Events")
    page.locator("[data-testid=stMain]").evaluate("element => element.scrollTo(0, 2000)")
    expect(page.locator(".st-key-safety-banner")).to_be_in_viewport()
    assert page.locator(".st-key-safety-banner button").count() == 0


def test_banner_leaves_room_for_the_logo_of_a_folded_side_bar(hostile: App, page: Page):
    go(page, f"{hostile.url}/patients?subject={cohort.RICH}")
    page.locator("[data-testid=stSidebar]").hover()
    page.locator("[data-testid=stSidebarCollapseButton] button").click()
    page.wait_for_timeout(800)
    logo, banner = page.locator("[data-testid=stHeaderLogo]").bounding_box(), page.locator(".st-key-safety-banner")
    assert logo and banner.bounding_box()["x"] >= logo["x"] + logo["width"]


def test_labels_beside_each_other_stand_on_one_line(hostile: App, page: Page):
    go(page, f"{hostile.url}/benchmark?benchmark=Calibration")
    for names in (("Results", "Published beside it"), ("Task", "Training examples a class", "Probability")):
        labels = [page.locator(".stMain label", has_text=name).first.bounding_box() for name in names]
        assert len({round(label["y"]) for label in labels if label}) == 1, names


def test_on_a_narrow_page_the_contents_stand_above_the_record(hostile: App, page: Page):
    boxes = {}
    for width in (1280, 820):
        page.set_viewport_size({"width": width, "height": 1180})
        go(page, f"{hostile.url}/patients?subject={cohort.RICH}")
        contents, text = page.locator("[data-testid=stRadio]").first, page.locator(".st-key-record-text")
        boxes[width] = contents.bounding_box(), text.bounding_box()
    (left, right), (upper, lower) = boxes[1280], boxes[820]
    assert left["x"] + left["width"] < right["x"]
    assert upper["y"] + upper["height"] <= lower["y"]
    assert lower["width"] > 450


def test_what_waits_pales_in_one_step(hostile: App, page: Page):
    """A fade draws the page 60 times a second for a second."""
    go(page, f"{hostile.url}/patients?subject={cohort.RICH}")
    page.locator(".stApp").evaluate("app => app.setAttribute('data-test-script-state', 'running')")
    old = page.locator("[data-testid=stMain] [data-testid=stElementContainer]").first
    old.evaluate("element => { element.dataset.stale = 'true'; element.style.transition = 'opacity 1s ease-in 0.5s' }")
    expect(old).to_have_css("transition-duration", "0s")


def test_a_page_at_work_says_so_in_sight(hostile: App, page: Page):
    """Streamlit's own sign stands behind the banner, and its moving pictures cost every page that waits."""
    go(page, f"{hostile.url}/patients?subject={cohort.RICH}")
    sign = "element => { const after = getComputedStyle(element, '::after'); return [after.content, after.opacity] }"
    banner = page.locator(".st-key-safety-banner")
    assert banner.evaluate(sign)[0] == "none"
    page.locator(".stApp").evaluate("app => app.setAttribute('data-test-script-state', 'running')")
    page.wait_for_timeout(1500)
    assert banner.evaluate(sign) == ['"Working …"', "1"]
    room = """element => {
      const after = getComputedStyle(element, '::after'), words = document.createRange();
      words.selectNodeContents(element);
      const last = Math.max(...[...words.getClientRects()].map(line => line.right));
      return element.getBoundingClientRect().right - parseFloat(after.right) - parseFloat(after.width) - last;
    }"""
    for width in (1280, 800, 500):  # not one word of the notice is covered
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_timeout(500)
        assert banner.evaluate(room) >= 0, width


@pytest.mark.parametrize("query", ["", "&show=lines", "&show=raw", "&tab=Timeline", "&tab=Events", "&tab=Compare"])
def test_nothing_of_a_hostile_record_renders(hostile: App, page: Page, query: str):
    """The fixture `page` fails the test where a request leaves for anywhere but the app."""
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    go(page, f"{hostile.url}/patients?subject={cohort.HOSTILE}{query}")
    assert not dialogs
    assert page.locator(".stMain a[href*=evil], .stMain img[src*=evil], .stMain img[onerror]").count() == 0
    assert page.locator(".stMain .katex").count() == 0


def test_relative_mode_hides_dates_on_screen_and_in_the_address(hostile: App, page: Page):
    go(page, f"{hostile.url}/patients?subject={cohort.RICH}&tab=Timeline")
    page.get_by_text("Hide calendar dates").click()
    settle(page)
    assert "2015" not in page.locator(".stMain").inner_text()
    assert "2015-" not in page.url
    assert "at=t" in page.url


def test_back_to_the_same_place_by_the_address(hostile: App, page: Page, tmp_path: Path):
    go(page, f"{hostile.url}/patients?subject={cohort.RICH}")
    page.locator(".st-key-step-Earlier button").click()
    settle(page)
    link, shown = page.url, page.locator(".st-key-tight-as-of").inner_text()
    other = page.context.browser.new_context().new_page()
    go(other, link)
    assert other.locator(".st-key-tight-as-of").inner_text() == shown


def test_a_list_by_its_address_by_reload_and_by_back(hostile: App, page: Page):
    go(page, f"{hostile.url}/patients")
    page.locator(".st-key-f-sex input").click()
    page.get_by_role("option", name="Female", exact=True).click()
    settle(page)
    link = page.url
    assert "sex=female" in link
    other = page.context.browser.new_context().new_page()
    for shown in (page, other):
        go(shown, link)
        expect(shown.locator(".st-key-f-sex input")).to_have_value("Female")
        assert shown.url == link
    table = page.locator("[data-testid=stDataFrame]").bounding_box()
    assert table is not None
    page.mouse.click(table["x"] + 16, table["y"] + 54)  # the box that selects the first row; the table is a canvas
    page.wait_for_selector(".st-key-tight-as-of")
    settle(page)
    assert "sex=" not in page.url
    page.go_back()  # one step
    expect(page.locator(".st-key-f-sex input")).to_have_value("Female")
    settle(page)
    assert page.url == link


def test_back_from_another_dataset_is_one_step(tmp_path: Path, page: Page):
    folders = cohort.write(tmp_path / "cohort"), cohort.write_empty(tmp_path / "empty")
    with running(tmp_path, *folders) as url:
        go(page, f"{url}/patients?subject={cohort.RICH}")
        page.wait_for_url("**at=**")  # the first run of a process takes its time
        link = page.url
        page.locator(".st-key-choose-dataset input").click()
        page.get_by_role("option", name="empty", exact=True).click()
        expect(page.get_by_text("This dataset has no subjects")).to_be_visible(timeout=STEP_SECONDS * 1000)
        page.wait_for_url("**dataset=empty**")
        assert "subject=" not in page.url
        page.go_back()
        page.wait_for_selector(".st-key-tight-as-of")
        page.wait_for_url(link)


def test_timeline_click_shows_source_rows(hostile: App, page: Page):
    go(page, f"{hostile.url}/patients?subject={cohort.RICH}&tab=Timeline")
    page.wait_for_selector(".stPlotlyChart .scatterlayer .point")
    page.locator(".stPlotlyChart .scatterlayer .trace:has(.point) .point").last.click(force=True)
    expect(page.get_by_text("source row")).to_be_visible()


def test_keyboard_reaches_the_navigation(hostile: App, page: Page):
    go(page, hostile.url)
    reached = set()
    for _ in range(25):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement?.innerText?.trim() ?? ''"))
    assert any("Patients" in text for text in reached)
