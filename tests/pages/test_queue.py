import threading

import pytest
from streamlit.testing.v1 import AppTest

from core.jobs import JobQueue
from pages.shared import queue


class Slot:
    def __init__(self):
        self.drawn = []
        self.cleared = False

    def progress(self, share, text):
        self.drawn.append((share, text))

    def empty(self):
        self.cleared = True


@pytest.fixture
def slot(monkeypatch):
    slot = Slot()
    monkeypatch.setattr(queue.st, "empty", lambda: slot)
    monkeypatch.setattr(queue, "_SECONDS_BETWEEN_LOOKS", 0.01)
    line = JobQueue()
    monkeypatch.setattr(queue, "_queue", lambda: line)
    return slot


def test_what_has_not_changed_is_not_sent_again(slot):
    half, pause = threading.Event(), threading.Event()

    def work(progress):
        progress(0, 2, "reading")
        pause.wait(0.3)
        progress(1, 2, "reading")
        half.set()
        pause.wait(0.3)
        return "done"

    assert queue.run("Scoring", work) == "done"
    assert half.is_set()
    said = [text for _, text in slot.drawn]
    assert len(said) == len(set(said)) <= 3  # perhaps once before the first report, then each state once
    assert said[-2:] == ["Scoring · 0 of 2 · reading", "Scoring · 1 of 2 · reading"]
    assert slot.drawn[-1][0] == 0.5 and slot.cleared


def test_the_place_in_line_is_shown(slot):
    free = threading.Event()
    ahead = queue._queue().submit(lambda progress: free.wait(5), "Another")
    threading.Timer(0.3, free.set).start()
    assert queue.run("Scoring", lambda progress: 7) == 7
    assert slot.drawn[0] == (0.0, "Scoring · number 1 in line")
    assert ahead.done and slot.cleared


def test_the_line_is_left_when_the_work_fails(slot):
    def work(progress):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        queue.run("Scoring", work)
    assert slot.cleared


def test_the_line_is_left_when_the_user_goes_on_although_nothing_is_drawn():
    def script():
        import time

        import streamlit as st
        from streamlit.runtime.scriptrunner import get_script_run_ctx

        from core.jobs import JobCancelled
        from pages.shared import queue

        requests, ends = get_script_run_ctx().script_requests, st.session_state.setdefault("ends", [])

        def work(progress):
            try:
                for step in range(100):
                    if step == 20:
                        requests.request_stop()  # as a click elsewhere does
                    progress(0, 1, "")
                    time.sleep(0.05)
                ends.append("came to its end")
            except JobCancelled:
                ends.append("cancelled")

        queue.run("Scoring", work)
        st.markdown("went on")

    app = AppTest.from_function(script, default_timeout=20).run()
    waited = threading.Event()
    for _ in range(100):
        if app.session_state["ends"]:
            break
        waited.wait(0.1)
    assert app.session_state["ends"] == ["cancelled"]
    assert not app.exception and not app.markdown
