"""Those who use the app in the load test: sessions of the page's protocol, and pages of a real browser.

Both do the same round, each with patients and pictures of its own, with a pause between any two actions: open a
patient, go to the next, score that one, look at Imaging, draw a picture of one's own there. Every patient that is
scored and every picture is new to the app, so that each score embeds a record and each picture is segmented and
explained. After each action they check that what they see is theirs. A session opens its patients by their links; a
browser page does so once and then clicks, and comes back from Imaging to the patient where it was.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field

from playwright.async_api import Browser, Page, expect

from benchmarks._session import Session

PATIENCE_S = 60
ACTIONS = 5
"""Of a round."""
PICTURES = 100
"""Numbers of drawings that each person has for itself."""


@dataclass
class Tally:
    """Seconds of each interaction by action, how often the page ran for it, and what went wrong."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    runs: dict[str, list[int]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def add(self, action: str, seconds: float, error: str = "", runs: int | None = None) -> None:
        """Count one interaction."""
        self.seconds.setdefault(action, []).append(seconds)
        if runs is not None:
            self.runs.setdefault(action, []).append(runs)
        if error:
            self.wrong.append(f"{action}: {error}")

    def of(self, prefix: str = "") -> list[float]:
        """Return the seconds of the actions that begin so."""
        return [s for action, values in self.seconds.items() if action.startswith(prefix) for s in values]


@dataclass(frozen=True)
class Round:
    """What all share: the address, the cohort in the order of the list with each patient's name, until when, pauses.

    Attributes:
        url: of the app.
        order: subject ids as the list has them.
        names: pseudonym by subject id.
        start: ``time.monotonic()`` from which interactions count; people arrive before, spread over one round.
        stop: of the end.
        think: mean seconds between two actions of a person; each pause is drawn between half and one and a half.
        tally: where it is counted.
    """

    url: str
    order: list[int]
    names: dict[int, str]
    start: float
    stop: float
    think: float
    tally: Tally

    def count(self, action: str, began: float, error: str, runs: int | None = None) -> None:
        """Count an interaction that began at ``began`` and ends now, if people had arrived by then."""
        if began >= self.start:
            self.tally.add(action, time.monotonic() - began, error, runs)
        elif error:
            self.tally.wrong.append(f"{action}, before the start: {error}")

    async def arrive(self, draw: random.Random) -> None:
        """Wait for a moment of the round before the start, so that people do not act in step."""
        await asyncio.sleep(max(0.0, self.start - draw.random() * ACTIONS * self.think - time.monotonic()))

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self.stop

    async def pause(self, draw: random.Random) -> None:
        """Wait as a person does between two actions, not beyond the end."""
        await asyncio.sleep(max(0.0, min(self.think * (0.5 + draw.random()), self.stop - time.monotonic())))

    def cases(self, place: int, people: int, draw: random.Random) -> Iterator[tuple[int, int, int]]:
        """Yield a subject, the one after it in the list, and a picture's number: nobody else's, and none twice."""
        share = len(self.order) // people
        own = [index for index in range(place * share, (place + 1) * share) if index + 1 < len(self.order)]
        draw.shuffle(own)
        pictures = [place * PICTURES + number for number in range(PICTURES)]
        for visit in range(10**6):
            index = own[visit % len(own)]
            yield self.order[index], self.order[index + 1], pictures[visit % PICTURES]


async def person(now: Round, place: int, people: int) -> None:
    """One protocol session."""
    draw = random.Random(place)
    await now.arrive(draw)
    async with Session(now.url) as session:

        async def act(action: str, work: Awaitable[float], subject: int | None = None, words: str = "") -> None:
            began, runs = time.monotonic(), session.runs
            try:
                await work
                error = _wrong(session, now.names, subject, words)
            except Exception as problem:
                error = f"{type(problem).__name__} {problem}"
            now.count(f"protocol {action}", began, error, session.runs - runs)
            await now.pause(draw)

        for subject, after, picture in now.cases(place, people, draw):
            if now.over:
                return
            await act("patient", session.open("patients", f"subject={subject}"), subject)
            await act("next", session.press("Next"), after)
            await act("risk", session.open("risk"), after, "patients like this one")
            await act("imaging", session.open("imaging"), words="Seg-HiRes-Grad CAM")
            await act("picture", session.enter("Number", picture), words=f"number {picture}")


def _wrong(session: Session, names: dict[int, str], subject: int | None, words: str) -> str:
    if session.sees("Something went wrong") or session.sees(":material/error:"):
        return "an error card"
    if words and not session.sees(words):
        return f"no {words!r} on the page"
    if subject is None:
        return "" if session.figures >= 2 else "fewer than two pictures"
    title = [text for text in session.texts if text.startswith("## ")]
    return "" if title == [f"## {names[subject]}"] else "another session's patient"


async def enter(browser: Browser, url: str, order: list[int], names: dict[int, str], place: int, people: int) -> Page:
    """Open a browser page by the link of its first patient: what a browser loads once is not an interaction."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    page = await context.new_page()
    first = order[place * (len(order) // people)]
    await page.goto(f"{url}/patients?subject={first}")
    await page.wait_for_selector(_title_of(names[first]))
    await _at_rest(page)
    return page


async def onlooker(page: Page, now: Round, place: int, people: int) -> None:
    """One browser page that clicks its way through the same round, from one patient of the list to the next."""
    draw = random.Random(place)
    await now.arrive(draw)

    async def act(action: str, work: Awaitable[None], sign: str, subject: int | None = None) -> None:
        began, error = time.monotonic(), ""
        try:
            await work
            await expect(page.locator(sign).first).to_be_visible(timeout=1000 * PATIENCE_S)
            await _at_rest(page)
            if subject is not None and await _title(page) != now.names[subject]:
                error = "another session's patient"
            elif await page.get_by_text("Something went wrong").count():
                error = "an error card"
        except Exception as problem:
            error = type(problem).__name__
        now.count(f"browser {action}", began, error)
        await now.pause(draw)

    async def number(picture: int) -> None:
        box = page.get_by_label("Number", exact=True)
        await box.fill(str(picture))
        await box.press("Enter")

    first = place * (len(now.order) // people)
    for visit in range(PICTURES):
        if now.over:
            return
        subject, after, picture = now.order[first + visit], now.order[first + visit + 1], place * PICTURES + visit
        await act("patient", _go(page, "Patients"), _title_of(now.names[subject]), subject)
        await act("next", page.click(".st-key-go-Next button"), _title_of(now.names[after]), after)
        await act("risk", _go(page, "Risk"), ".st-key-tight-evidence", after)
        await act("imaging", _go(page, "Imaging"), "text=Seg-HiRes-Grad CAM")
        await act("picture", number(picture), f"text=number {picture}")


async def _go(page: Page, title: str) -> None:
    await page.get_by_test_id("stSidebarNav").get_by_role("link", name=title, exact=True).click()


def _title_of(name: str) -> str:
    return f".st-key-tight-navigation h2:has-text('{name}')"


async def _title(page: Page) -> str:
    return (await page.locator(".st-key-tight-navigation h2").first.inner_text()).strip()


async def _at_rest(page: Page) -> None:
    """Wait until the page has been drawn to its end."""
    await page.wait_for_selector(".stApp[data-test-script-state=notRunning]", timeout=1000 * PATIENCE_S)
