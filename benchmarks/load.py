"""Twenty people at once: 15 protocol sessions and 5 real browser pages over patients, risk and imaging.

``python -m benchmarks.load [--seconds 300] [--sessions 15] [--browsers 5] [--think 5]``

What each person does stands in ``_people.py``: every patient is scored for the first time, every picture is a new
one, and after each action everybody checks that what it sees is its own. The claim is the 95th percentile over all
interactions, of sessions and browsers alike, from the action to the end of the page's run. Warm-up: one session opens
each page once, so that the process has loaded its libraries and models, the browsers load the app, and people arrive
within the time of one round, so that they do not act in step; then the given time begins. Memory is the app's resident
memory after the first quarter of the time against its end. Browsers and this script run on the same cores: what app,
browsers and script take of them is printed.
"""

import argparse
import asyncio
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from playwright.async_api import async_playwright

from benchmarks._common import report
from benchmarks._people import ACTIONS, PICTURES, Round, Tally, enter, onlooker, person
from benchmarks._session import Session
from core.ehr.demo import generate_demo
from core.ehr.store import open_dataset
from core.privacy import load_key, pseudonym
from core.settings import Settings
from tests.e2e.app_process import ARGUMENTS, CHROMIUM, running

TARGET_S, FLAT = 3.0, 0.10
SUBJECTS_EACH = 15
"""Patients that each person has for itself; five minutes bring it through fewer."""


class Meter:
    """Resident memory of the app, and the processor seconds of app, browsers and this script, over time."""

    def __init__(self, app: psutil.Process) -> None:
        self.app = app
        self.memory: list[tuple[float, float]] = []
        self.cost: list[dict[str, float]] = []
        self._ours = psutil.Process()

    def read(self) -> None:
        """Take one sample."""
        app = [self.app, *self.app.children(recursive=True)]
        family = {p.pid for p in app}
        others = [p for p in self._ours.children(recursive=True) if p.pid not in family]
        self.memory.append((time.monotonic(), sum(_of(p, lambda p: p.memory_info().rss) for p in app) / 2**20))
        self.cost.append(
            {
                "app": sum(_of(p, _seconds) for p in app),
                "browsers": sum(_of(p, _seconds) for p in others),
                "script": _seconds(self._ours),
            }
        )

    async def watch(self, start: float, stop: float) -> None:
        """Sample from ``start`` until ``stop``."""
        await asyncio.sleep(max(0.0, start - time.monotonic()))
        while time.monotonic() < stop:
            self.read()
            await asyncio.sleep(2)
        self.read()

    def cores(self) -> dict[str, float]:
        """Cores that each took over the time of the samples."""
        seconds = self.memory[-1][0] - self.memory[0][0]
        return {who: (self.cost[-1][who] - self.cost[0][who]) / seconds for who in self.cost[0]}

    def growth(self) -> tuple[float, float]:
        """Memory at the end in MiB, and by which share it is above that after the first quarter of the time."""
        first, last = self.memory[0][0], self.memory[-1][0]
        quarter = (last - first) / 4
        warm = [m for t, m in self.memory if first + quarter <= t <= first + 1.5 * quarter]
        end = [m for t, m in self.memory if t >= last - quarter / 2]
        return float(np.median(end)), float(np.median(end) / np.median(warm) - 1)


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _of(process: psutil.Process, what) -> float:
    try:
        return what(process)
    except psutil.Error:  # it ended meanwhile
        return 0.0


async def warm_up(url: str, subjects: list[int]) -> None:
    """Open each page, score a patient and explain a picture, so that libraries and models are loaded."""
    async with Session(url) as session:
        for subject in subjects:
            await session.open("patients", f"subject={subject}")
            await session.open("risk")
        await session.open("imaging")
        await session.enter("Number", 99 * PICTURES)


async def run(url: str, app: psutil.Process, arguments: argparse.Namespace, order: list[int], names) -> tuple:
    """Let everybody work for the given time."""
    people = arguments.sessions + arguments.browsers
    tally, meter = Tally(), Meter(app)
    await warm_up(url, order[-2:])
    async with async_playwright() as engine:
        browser = await engine.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        pages = [
            await enter(browser, url, order, names, arguments.sessions + n, people) for n in range(arguments.browsers)
        ]
        start = time.monotonic() + ACTIONS * arguments.think
        round_ = Round(url, order, names, start, start + arguments.seconds, arguments.think, tally)
        everybody = [person(round_, place, people) for place in range(arguments.sessions)]
        everybody += [onlooker(page, round_, arguments.sessions + n, people) for n, page in enumerate(pages)]
        await asyncio.gather(*everybody, meter.watch(round_.start, round_.stop))
        await browser.close()
    return tally, meter


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
        generate_demo(home / "demo", subjects=SUBJECTS_EACH * (arguments.sessions + arguments.browsers) + 2)
        settings = Settings(_env_file=None, home=home)
        key = load_key(settings)
        order = sorted(int(i) for i in open_dataset(home / "demo").index.subject_ids)
        names = {subject: pseudonym(subject, key) for subject in order}
        server = running(home, home / "demo")
        with server as url:
            tally, meter = asyncio.run(run(url, psutil.Process(server.process.pid), arguments, order, names))
    for action, values in sorted(tally.seconds.items()):
        runs = f", {np.mean(tally.runs[action]):.2f} runs each" if action in tally.runs else ""
        line = f"{action}: n {len(values)}, median {np.median(values):.2f} s, p95 {np.quantile(values, 0.95):.2f} s"
        print(f"{line}, longest {max(values):.2f} s{runs}")
    p95 = {who: float(np.quantile(tally.of(who), 0.95)) for who in ("", "protocol", "browser") if tally.of(who)}
    cores, (memory, growth) = meter.cores(), meter.growth()
    print(", ".join(f"{who} {value:.2f} cores" for who, value in cores.items()), f"of {len(os.sched_getaffinity(0))}")
    for error in tally.wrong[:20]:
        print(error)
    report(
        "load",
        ours=p95[""],
        peer=TARGET_S,
        unit="s (p95 of an interaction; peer: the target)",
        ratio=TARGET_S / p95[""],
        target="p95 <= 3 s, no error, no cross-talk, memory flat within 10 % after warm-up",
        met=p95[""] <= TARGET_S and not tally.wrong and abs(growth) <= FLAT,
        rounds=len(tally.of()),
        errors=len(tally.wrong),
        p95_sessions=p95.get("protocol"),
        p95_browsers=p95.get("browser"),
        median=float(np.median(tally.of())),
        memory_mib=memory,
        memory_growth=growth,
        app_cores=cores["app"],
        browser_cores=cores["browsers"],
        script_cores=cores["script"],
        sessions=arguments.sessions,
        browsers=arguments.browsers,
        seconds=arguments.seconds,
    )


if __name__ == "__main__":
    main()
