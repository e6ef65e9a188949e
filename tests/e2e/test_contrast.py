"""Contrast of what is drawn, page by page and theme by theme: 4.5:1 for text, 3:1 for large text (WCAG 2.2, 1.4.3)."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from pages.shared.navigation import ENTRIES
from tests.e2e.app_process import go
from tests.e2e.conftest import App

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

_FAINT_TEXTS = """() => {
  const parse = text => { const n = text.match(/[\\d.]+/g).map(Number);
    return text.startsWith('color(') ? [n[0]*255, n[1]*255, n[2]*255, n[3] ?? 1] : [n[0], n[1], n[2], n[3] ?? 1]; };
  const over = (top, under) => [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const linear = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const luminance = c => 0.2126 * linear(c[0]) + 0.7152 * linear(c[1]) + 0.0722 * linear(c[2]);
  const behind = element => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour[3] > 0) layers.push(colour);
      if (colour[3] === 1) break;
    }
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255, 1]);
  };
  // icons are graphics; a slider's value hangs outside of its thumb; the colours of code are ours (style.css)
  const LEFT_OUT = 'svg, canvas, style, .stCode, [disabled], [aria-disabled=true], [data-disabled], ' +
    '[data-testid=stIconMaterial], [role=img], [data-testid=stSliderThumbValue]';
  const faint = [];
  const walker = document.createTreeWalker(document.querySelector('.stApp'), NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode()); ) {
    const element = node.parentElement, text = node.textContent.trim();
    if (!text || element.closest(LEFT_OUT)) continue;
    const box = element.getBoundingClientRect(), style = getComputedStyle(element);
    if (!box.width || !box.height || style.visibility === 'hidden' || style.opacity === '0') continue;
    if (element.closest('label')?.querySelector(':disabled')) continue;
    let shown = 1;  // what fades a text need not be its colour
    for (let e = element; e; e = e.parentElement) shown *= parseFloat(getComputedStyle(e).opacity);
    if (!shown) continue;  // the ends of a slider, until the pointer is on it
    const [red, green, blue, alpha] = parse(style.color);
    const ground = behind(element), ink = over([red, green, blue, alpha * shown], ground);
    const [a, b] = [luminance(ink), luminance(ground)].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (large ? 3 : 4.5)) faint.push(`${text.slice(0, 40)} (${ratio.toFixed(2)})`);
  }
  return [...new Set(faint)];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_text_is_faint(app: App, browser: Browser, scheme: str):
    context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme=scheme)
    tab = context.new_page()
    places = [Path(entry.script).stem for entry in ENTRIES[1:]]
    places += ["", "patients?subject=1", "patients?subject=1&tab=Events", "patients?subject=1&show=model"]
    found = {}
    for place in places:
        go(tab, f"{app.url}/{place}")
        if faint := tab.evaluate(_FAINT_TEXTS):
            found[place] = faint
    context.close()
    assert not found
