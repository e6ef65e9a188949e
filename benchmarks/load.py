"""Twenty people at once: 15 protocol sessions and 5 real browser pages over patients, risk and imaging.

``python -m benchmarks.load [--seconds 300] [--sessions 15] [--browsers 5] [--think 5]``

Every session has patients and a picture of its own and checks after each action that what it sees is its own. The
claim is the 95th percentile of an interaction of the protocol sessions, from the action to the end of the page's run;
the browsers share the machine, and what they cost is printed. Memory is the app's resident memory after the warm-up
(the first quarter of the time) against its end.
"""

import argparse
import asyncio
import random
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from playwright.async_api import Browser, async_playwright

from benchmarks._common import report
from benchmarks._session import Session
from core.ehr.demo import generate_demo
from core.ehr.store import open_dataset
from core.privacy import load_key, pseudonym
from core.settings import Settings
from tests.e2e.app_process import ARGUMENTS, CHROMIUM, running

TARGET_S, FLAT = 3.0, 0.10


class Tally:
    """Seconds of each interaction, and what went wrong."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}
        self.wrong: list[str] = []

    def add(self, action: str, seconds: float, error: str = "") -> None:
        """Count one interaction."""
        self.seconds.setdefault(action, []).append(seconds)
        if error:
            self.wrong.append(f"{action}: {error}")


async def person(url: str, number: int, subjects: list[int], names: dict[int, str], stop: float, think: float, tally):
    """One protocol session: opens its patients, scores them, and looks at its sample picture."""
    draw = random.Random(number)
    async with Session(url) as session:
        while time.monotonic() < stop:
            subject = draw.choice(subjects)
            for page in ("patients", "risk", "patients", "imaging"):
                query = f"sample={number % 2}" if page == "imaging" else f"subject={subject}"
                try:
                    seconds = await session.open(page, query)
                    tally.add(f"protocol {page}", seconds, _wrong(session, page, subject, names))
                    if page == "patients":
                        tally.add("protocol next", await session.press("Next"), _wrong(session, page, None, names))
                except Exception as error:
                    tally.add(f"protocol {page}", 0.0, f"{type(error).__name__} {error}")
                await asyncio.sleep(think * (0.5 + draw.random()))


def _wrong(session: Session, page: str, subject: int | None, names: dict[int, str]) -> str:
    if session.sees("Something went wrong"):
        return "an error card"
    if page == "imaging":
        return "" if session.figures >= 2 else "fewer than two pictures"
    shown = {name for name in names.values() if session.sees(name)}
    if len(shown) != 1:
        return f"{len(shown)} patients on one page"
    return "" if subject is None or names[subject] in shown else "another session's patient"


async def onlooker(
    browser: Browser, url: str, number: int, subjects: list[int], names, stop: float, think: float, tally
):
    """One browser page that does the same by clicking."""
    draw = random.Random(1000 + number)
    page = await (await browser.new_context(viewport={"width": 1280, "height": 800})).new_page()
    while time.monotonic() < stop:
        subject = draw.choice(subjects)
        for path, ready in (
            (f"patients?subject={subject}", f"h2:has-text('{names[subject]}')"),
            (f"risk?subject={subject}", "text=Evidence for"),
            ("imaging", "text=Seg-HiRes-Grad CAM"),
        ):
            start = time.perf_counter()
            error = ""
            try:
                await page.goto(f"{url}/{path}")
                await page.locator(ready).first.wait_for(timeout=60_000)
                if path != "imaging" and not await page.locator(f"h2:has-text('{names[subject]}')").count():
                    error = "another session's patient"
            except Exception as problem:
                error = type(problem).__name__
            tally.add(f"browser {path.split('?')[0]}", time.perf_counter() - start, error)
            await asyncio.sleep(think * (0.5 + draw.random()))


async def watch(process: psutil.Process, stop: float, memory: list[tuple[float, float]], cost: list[float]) -> None:
    """Sample the app's resident memory and the processor share of the browsers."""
    while time.monotonic() < stop:
        family = [process, *process.children(recursive=True)]
        memory.append((time.monotonic(), sum(p.memory_info().rss for p in family if p.is_running()) / 2**20))
        chromes = [p for p in psutil.process_iter(["name", "cpu_times"]) if "chrom" in (p.info["name"] or "")]
        cost.append(sum(sum(p.info["cpu_times"][:2]) for p in chromes if p.info["cpu_times"]))
        await asyncio.sleep(2)


async def run(
    url: str, process: psutil.Process, arguments: argparse.Namespace, subjects, names
) -> tuple[Tally, list, list]:
    """Let everybody work for the given time."""
    tally, memory, cost = Tally(), [], []
    async with async_playwright() as engine:
        browser = await engine.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        stop = time.monotonic() + arguments.seconds
        share = np.array_split(subjects, arguments.sessions + arguments.browsers)
        people = [
            person(url, n, list(map(int, share[n])), names, stop, arguments.think, tally)
            for n in range(arguments.sessions)
        ] + [
            onlooker(
                browser, url, n, list(map(int, share[arguments.sessions + n])), names, stop, arguments.think, tally
            )
            for n in range(arguments.browsers)
        ]
        await asyncio.gather(*people, watch(process, stop, memory, cost))
        await browser.close()
    return tally, memory, cost


def main() -> None:
    """Make a cohort, start the app, load it, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--sessions", type=int, default=15)
    parser.add_argument("--browsers", type=int, default=5)
    parser.add_argument("--think", type=float, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        generate_demo(home / "demo", subjects=300)
        settings = Settings(_env_file=None, home=home)
        key = load_key(settings)
        subjects = [int(i) for i in open_dataset(home / "demo").index.subject_ids]
        names = {subject: pseudonym(subject, key) for subject in subjects}
        server = running(home, home / "demo")
        with server as url:
            process = psutil.Process(server.process.pid)
            tally, memory, cost = asyncio.run(run(url, process, arguments, subjects, names))
    protocol = [s for action, values in tally.seconds.items() if action.startswith("protocol") for s in values]
    for action, values in sorted(tally.seconds.items()):
        print(f"{action}: n {len(values)}, median {np.median(values):.2f} s, p95 {np.quantile(values, 0.95):.2f} s")
    start = memory[0][0] + arguments.seconds / 4
    warm = [m for t, m in memory if start <= t <= start + arguments.seconds / 8]
    end = [m for t, m in memory if t >= memory[-1][0] - arguments.seconds / 8]
    growth = float(np.median(end) / np.median(warm) - 1)
    p95 = float(np.quantile(protocol, 0.95))
    for error in tally.wrong[:20]:
        print(error)
    report(
        "load",
        ours=p95,
        peer=TARGET_S,
        unit="s (p95 of an interaction; peer: the target)",
        ratio=p95 / TARGET_S,
        target="p95 <= 3 s, no error, no cross-talk, memory flat within 10 % after warm-up",
        met=p95 <= TARGET_S and not tally.wrong and abs(growth) <= FLAT,
        rounds=len(protocol),
        errors=len(tally.wrong),
        memory_mib=float(np.median(end)),
        memory_growth=growth,
        browser_cores=(cost[-1] - cost[0]) / arguments.seconds,
        sessions=arguments.sessions,
        browsers=arguments.browsers,
        seconds=arguments.seconds,
    )


if __name__ == "__main__":
    main()
