"""Patients page in a real browser: seconds to the first view, and to the next subject.

``python -m benchmarks.pages [--dataset MEDS_FOLDER] [--subjects N] [--events N] [--rounds N]``

By default on a made-up dataset of EHRSHOT's size. A first view is a new browser session opening the list; the next
subject is a click on Next until its record stands on the screen. No peer shows a record as Markdown: the peer is the
target. The last line is the next subject; the line before it the first view.
"""

import argparse
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from benchmarks._common import median, report_within
from benchmarks._ehrshot_sized import EVENTS, SUBJECTS, write_release
from core.ehr.importers.ehrshot import import_ehrshot
from tests.e2e.app_process import ARGUMENTS, CHROMIUM, running, settle

FIRST_S, NEXT_S = 1.5, 0.5
_ARRIVED = """before => {
  const name = document.querySelector('.st-key-tight-navigation h2')?.innerText;
  const idle = document.querySelector('.stApp')?.dataset.testScriptState === 'notRunning';
  return name && name !== before && idle && document.querySelector('.st-key-record-text li') !== null;
}"""


def first_view(browser: Browser, url: str) -> float:
    """Seconds from the address to the table of patients in a new session."""
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    start = time.perf_counter()
    page.goto(f"{url}/patients")
    page.wait_for_selector("[data-testid=stDataFrame] canvas")
    seconds = time.perf_counter() - start
    page.context.close()
    return seconds


def next_subjects(browser: Browser, url: str, subject: int, count: int) -> list[float]:
    """Seconds from each of ``count`` clicks on Next to the next subject's record."""
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    page.goto(f"{url}/patients?subject={subject}")
    page.wait_for_selector(".st-key-record-text li")
    settle(page)
    seconds = []
    for _ in range(count):
        before = page.inner_text(".st-key-tight-navigation h2")
        start = time.perf_counter()
        page.click(".st-key-go-Next button")
        page.wait_for_function(_ARRIVED, arg=before)
        seconds.append(time.perf_counter() - start)
        settle(page)
    page.context.close()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--subjects", type=int, default=SUBJECTS)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chartlight-bench-") as scratch:
        home = Path(scratch) / "home"
        home.mkdir()
        dataset = args.dataset
        if dataset is None:
            release = write_release(Path(scratch) / "release", args.subjects, args.events)
            dataset = Path(scratch) / "dataset"
            import_ehrshot(release, dataset)
        from core.ehr.store import open_dataset

        subjects = open_dataset(dataset).index.subject_ids
        first: list[float] = []
        onward: list[float] = []
        with running(home, dataset.resolve()) as url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            first_view(browser, url)  # the process imports its libraries and opens the dataset once
            for number in range(args.rounds):
                first.append(first_view(browser, url))
                onward += next_subjects(browser, url, int(subjects[number * 7 % len(subjects)]), 6)
            browser.close()
    report_within("pages_first_view", median(first), FIRST_S, rounds=args.rounds)
    report_within("pages", median(onward), NEXT_S, rounds=args.rounds)


if __name__ == "__main__":
    main()
