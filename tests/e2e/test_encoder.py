"""A browser picks another encoder on Risk: its own scores, the address, the card, and Status afterwards."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from core.settings import get_settings
from tests.e2e.app_process import go, running, settle
from tests.pages import tiny_encoders

WAIT = 90_000
"""Milliseconds: the first score exports the encoder's graph."""
pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def picked(browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, tiny_encoders.TinyEncoders]]:
    folder = tmp_path_factory.mktemp("tiny")
    own = {"CHARTLIGHT_ENCODERS": str(folder / "own.toml"), "CHARTLIGHT_DEVICE": "cpu"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (own | {"CHARTLIGHT_HOME": str(folder / "home")}).items():
            patch.setenv(name, value)
        get_settings.cache_clear()
        tiny = tiny_encoders.write(folder)
        tiny_encoders.train(tiny)
    get_settings.cache_clear()
    with running(folder / "home", tiny.dataset, CHARTLIGHT_HEADS=str(tiny.heads), **own) as url:
        yield url, tiny


def choose(page: Page, name: str) -> None:
    page.locator(".st-key-choose-encoder input").click()
    page.get_by_role("option", name=name).first.click()
    settle(page)


def test_an_encoder_is_picked_and_scores_with_its_own_heads(picked, page: Page):
    url, tiny = picked
    query = "&".join(f"{name}={value}" for name, value in tiny.query.items())
    go(page, f"{url}/risk?{query}")
    main = page.locator(".stMain")
    expect(main).to_contain_text("minilm read", timeout=WAIT)
    choose(page, "tiny")
    expect(main).to_contain_text("tiny read", timeout=WAIT)
    expect(main).not_to_contain_text("minilm read", timeout=WAIT)
    assert "encoder=tiny" in page.url
    page.locator(".st-key-encoder-card button").first.click()
    expect(page.get_by_text("Random weights: its scores mean nothing.")).to_be_visible()
    page.keyboard.press("Escape")

    choose(page, "qwen3-embedding-8b")
    expect(main).to_contain_text("gives no scores here yet", timeout=WAIT)
    expect(main).to_contain_text("hf download Qwen/Qwen3-Embedding-8B", timeout=WAIT)
    expect(main).not_to_contain_text("average of", timeout=WAIT)

    page.get_by_role("link", name="Status", exact=True).click()
    page.wait_for_url("**/status**")
    settle(page)
    expect(main).to_contain_text("Encoders in memory", timeout=WAIT)
    expect(page.get_by_text("Something went wrong")).to_have_count(0)


def test_a_link_opens_with_the_encoder_that_it_names(picked, page: Page):
    url, tiny = picked
    query = "&".join(f"{name}={value}" for name, value in (tiny.query | {"encoder": "tiny"}).items())
    go(page, f"{url}/risk?{query}")
    expect(page.locator(".stMain")).to_contain_text("tiny read", timeout=WAIT)
    assert "encoder=tiny" in page.url
