"""Red team: a dataset full of mark-up in a real browser, on every page and tab. Nothing renders or is fetched."""

import ast

import pytest
from playwright.sync_api import Browser, Page, expect

from pages.shared.patients.chart import TABS as CHART_TABS
from pages.shared.risk.evidence_tabs import TABS as EVIDENCE_TABS
from tests.e2e.app_process import ROOT, go, running, settle
from tests.security import hostile_cohort
from tests.security.hostile_cohort import SUBJECT

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

RENDERED = """() => {
  const found = [];
  const evil = 'evil.example';
  for (const element of document.querySelectorAll('*')) {
    for (const name of element.getAttributeNames()) {
      const value = element.getAttribute(name);
      if (['src', 'href', 'xlink:href', 'srcset', 'action', 'data', 'poster', 'background'].includes(name)
          && (value.includes(evil) || value.startsWith('javascript:')))
        found.push(`${element.tagName} ${name}=${value}`);
      if (name.startsWith('on') && value.includes('evil')) found.push(`${element.tagName} ${name}`);
    }
  }
  if (document.querySelector('.stApp .katex')) found.push('LaTeX');
  for (const tag of ['script', 'style', 'iframe', 'object', 'embed'])
    for (const element of document.querySelectorAll(`.stApp ${tag}`))
      if (element.textContent.includes('evil')) found.push(tag);
  if (window.evil) found.push('a script ran');
  const before = {REDMARK: ':red[', BOLDMARK: '**', CODEMARK: '`', HTMLMARK: '<b>'};
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.replaceAll('\\u2060', '');
    for (const [mark, syntax] of Object.entries(before))
      for (let at = text.indexOf(mark); at >= 0; at = text.indexOf(mark, at + 1))
        if (!text.slice(0, at).endsWith(syntax)) found.push(`${mark} in: ${text.slice(0, 80)}`);
  }
  return found;
}"""
"""What of the data has been rendered. An attack that shows as text keeps its syntax in the same text node."""

BENCHMARK_TABS = (
    "Overview",
    "Few-shot",
    "Tasks",
    "Calibration",
    "Compare models",
    "Subgroups",
    "Ablations",
    "Problems",
    "Embedding map",
)

PAGES = {
    "start": "",
    "patients": "patients",
    **{f"patient, {tab}": f"patients?subject={SUBJECT}&tab={tab}" for tab in CHART_TABS},
    "patient, lines": f"patients?subject={SUBJECT}&view=lines",
    "patient, raw": f"patients?subject={SUBJECT}&view=raw",
    **{f"risk, {tab}": f"risk?subject={SUBJECT}&evidence={tab}" for tab in EVIDENCE_TABS},
    **{f"benchmark, {tab}": f"benchmark?benchmark={tab}" for tab in BENCHMARK_TABS},
    "model facts": "model_facts",
    "imaging": "imaging",
    "status": "status",
    "audit": "audit",
}
SAYS_IT = {"start", "patient, Record", "patient, lines", "patient, raw", "benchmark, Overview", "benchmark, Problems"}
"""Pages on which the attack must be readable: were it dropped, the test would prove nothing."""


@pytest.fixture(scope="module")
def url(browser: Browser, tmp_path_factory: pytest.TempPathFactory):
    """The app on hostile data, model card and benchmark run; audit entries come from the tests before."""
    home = tmp_path_factory.mktemp("hostile")
    data = hostile_cohort.write(home / "data <b>HTMLMARK $x^2$ ![i](www.evil.example)")
    models = hostile_cohort.copy_models(home / "models", ROOT)
    runs = hostile_cohort.copy_run(home / "runs", ROOT)
    with running(home, data, CHARTLIGHT_MODELS=str(models), CHARTLIGHT_RESULTS=str(runs)) as address:
        yield address


def rendered(page: Page) -> list[str]:
    return page.evaluate(RENDERED)


@pytest.mark.parametrize("name", PAGES)
def test_nothing_of_the_data_renders(url: str, page: Page, name: str):
    """The fixture ``page`` fails the test where a request leaves for anywhere but the app."""
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    go(page, f"{url}/{PAGES[name]}")
    expect(page.locator(".stMain h1, .stMain h2").first).to_be_visible(timeout=90_000)  # an empty page renders nothing
    if name in SAYS_IT:
        expect(page.locator(".stMain")).to_contain_text("REDMARK", timeout=90_000)
    settle(page)
    expect(page.get_by_text("Something went wrong on our side")).to_have_count(0)
    assert rendered(page) == []
    for plot in page.locator(".stPlotlyChart").all()[:2]:
        plot.hover(force=True)
    page.mouse.move(640, 500)
    assert rendered(page) == []
    assert dialogs == []


@pytest.mark.parametrize("where", ["lists", "hover"])
def test_nothing_renders_in_lists_and_labels_that_open(url: str, page: Page, where: str):
    if where == "lists":
        go(page, f"{url}/patients?subject={SUBJECT}")
        for box in page.locator(".stMain .stSelectbox").all():
            box.click()
            page.wait_for_timeout(200)
            assert rendered(page) == []
            page.keyboard.press("Escape")
        page.locator(".stMain [data-testid=stPopover] button").first.click()
        settle(page)
    else:
        go(page, f"{url}/patients?subject={SUBJECT}&tab=Timeline")
        page.wait_for_selector(".stPlotlyChart .point")
        for point in page.locator(".stPlotlyChart .point").all()[:6]:
            point.hover(force=True)
            page.wait_for_timeout(100)
            assert rendered(page) == []
    assert rendered(page) == []


def test_the_check_sees_what_renders(page: Page):
    page.set_content(
        "<div class=stApp><a href='http://evil.example/a'>a</a><span class=katex></span><b>BOLDMARK</b>"
        "<p>:red[REDMARK]</p><img src='data:,evil.example' onclick='evil()'></div>"
    )
    found = " ".join(rendered(page))
    assert all(word in found for word in ("A href", "LaTeX", "BOLDMARK", "IMG src", "onclick"))
    assert "REDMARK" not in found


def test_every_tab_of_the_benchmark_is_tried():
    """The list stands here because importing the page's script would run it."""
    script = (ROOT / "pages" / "benchmark.py").read_text()
    tabs = next(node.value for node in ast.parse(script).body if isinstance(node, ast.Assign) and _is_tabs(node))
    assert isinstance(tabs, ast.Dict)
    assert tuple(ast.literal_eval(key) for key in tabs.keys if key is not None) == BENCHMARK_TABS


def _is_tabs(node: ast.Assign) -> bool:
    return any(isinstance(target, ast.Name) and target.id == "TABS" for target in node.targets)
