"""Texts of figures: none lies on another or is cut, on a narrow page and in front of an audience; none is faint."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.app_process import go, settle
from tests.e2e.conftest import App
from tests.pages.test_theme import contrast

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

TEXTS = "[...document.querySelectorAll('.stPlotlyChart svg text')].filter(e => e.textContent.trim())"
CLASHES = f"""() => {{
  const found = [], upright = {TEXTS}.filter(e => !/rotate\\((?!0)/.test(e.getAttribute('transform') || ''));
  const texts = upright.map(e => [e.textContent, e.getBoundingClientRect(), e.closest('.stPlotlyChart')]);
  texts.forEach(([text, box, chart], number) => {{
    const frame = chart.getBoundingClientRect();
    if (box.left < frame.left - 1 || box.right > frame.right + 1) found.push(`cut: ${{text}}`);
    for (const [other, its, where] of texts.slice(number + 1)) {{
      const width = Math.min(box.right, its.right) - Math.max(box.left, its.left);
      const height = Math.min(box.bottom, its.bottom) - Math.max(box.top, its.top);
      if (where === chart && width > 1.5 && height > 4) found.push(`${{text}} | ${{other}}`);
    }}
  }});
  return [...new Set(found)];
}}"""
PLACES = (
    "patients?{}subject=1&tab=Timeline",
    "patients?{}subject=12&tab=Labs and vitals",
    "patients?{}subject=12&show=model&limit=512",
    "risk?{}dataset=demo&subject=232&at=2022-07-10T12:00:00",  # when most tasks are not defined, which rows say
    "benchmark?{}",
    "benchmark?{}benchmark=Few-shot",
    "benchmark?{}benchmark=Tasks",
    "benchmark?{}benchmark=Ablations",
    "imaging?{}view=Layers",
)


def tab(browser: Browser, width: int, scheme: str = "light") -> Page:
    return browser.new_context(viewport={"width": width, "height": 1400}, color_scheme=scheme).new_page()


@pytest.mark.parametrize(("width", "first"), [(800, ""), (1280, ""), (1280, "audience=1&"), (1920, "audience=1&")])
def test_no_text_of_a_figure_lies_on_another_or_is_cut(app: App, browser: Browser, width: int, first: str):
    page, found = tab(browser, width), {}
    for place in PLACES:
        go(page, f"{app.url}/{place.format(first)}")
        page.wait_for_selector(".stPlotlyChart svg text")
        settle(page)
        if clashes := page.evaluate(CLASHES):
            found[place] = clashes
    page.context.close()
    assert not found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_text_of_a_figure_is_faint(app: App, browser: Browser, scheme: str):
    page = tab(browser, 1280, scheme)
    go(page, f"{app.url}/imaging?view=Layers")
    page.locator(".stPlotlyChart .bars path").first.hover(force=True)
    page.wait_for_selector(".hoverlayer .hovertext")
    ground = page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor")
    inks = page.evaluate(f"() => {TEXTS}.map(e => [e.textContent, getComputedStyle(e).fill])")
    page.context.close()
    texts = [text for text, _ in inks]
    assert "Share of the score S, %" in texts and any(": " in text for text in texts), "the axis, and what hovers"
    assert [text for text, ink in inks if contrast(_hex(ink), _hex(ground)) < 4.5] == []


def _hex(colour: str) -> str:
    return "#" + "".join(f"{int(part):02X}" for part in re.findall(r"\d+", colour)[:3])


def test_a_colour_bar_s_ends_stay_on_one_line(app: App, browser: Browser):
    page = tab(browser, 800)
    go(page, f"{app.url}/imaging")
    page.wait_for_selector("[class*=st-key-tight-bar-]")
    boxes = [part.bounding_box() for part in page.locator("[class*=st-key-tight-bar-]").first.locator("> *").all()]
    bar = page.locator("[class*=st-key-tight-bar-]").first.bounding_box()
    page.context.close()
    assert bar and len(boxes) == 3 and all(boxes)
    assert abs(boxes[0]["y"] - boxes[2]["y"]) < 2
    assert boxes[2]["x"] + boxes[2]["width"] <= bar["x"] + bar["width"] + 1


def test_both_choices_of_the_image_can_be_read_by_an_audience(app: App, browser: Browser):
    page = tab(browser, 1280)
    go(page, f"{app.url}/imaging?audience=1")
    place = page.locator(".st-key-choice-source")
    frame, choice = place.bounding_box(), place.get_by_text("Upload").bounding_box()
    page.context.close()
    assert frame and choice and choice["x"] + choice["width"] <= frame["x"] + frame["width"]


def test_a_reload_keeps_audience_mode(app: App, browser: Browser):
    page = tab(browser, 1280)
    go(page, f"{app.url}/patients?subject=1")
    page.get_by_text("Audience mode").click()
    page.wait_for_url("**audience=1**")
    assert "subject=" not in page.url
    page.reload()
    expect(page.locator("html")).to_have_css("font-size", "19px")
    page.locator("[data-testid=stSidebarNav]").get_by_text("Benchmark").click()
    page.wait_for_url("**/benchmark?audience=1**")
    page.context.close()
