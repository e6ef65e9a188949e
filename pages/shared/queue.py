"""Work in front of a model: wait in line with the place shown, run with a progress bar, leave the line on cancel."""

from collections.abc import Callable
from typing import TypeVar

import streamlit as st

from core.jobs import Job, JobQueue
from core.progress import Progress
from core.settings import get_settings

T = TypeVar("T")
_SECONDS_BETWEEN_LOOKS = 0.4


@st.cache_resource(show_spinner=False)
def _queue() -> JobQueue:
    settings = get_settings()
    return JobQueue(settings.queue_limit, settings.job_timeout_s, settings.queue_workers)


def run(name: str, work: Callable[[Progress], T]) -> T:
    """Run ``work`` in the queue of this installation and return its result.

    ``work`` runs in another thread: it must not call Streamlit. It gets a progress callback and should call it now
    and then, for that is where a cancel takes effect. The user leaves the line by any other action on the page.

    Args:
        name: what the work is, as the user would say it ("Segmenting the image").
        work: the work.

    Raises:
        QueueFullError, JobTimeoutError: shown by :mod:`pages.shared.errors` like any mendable error.
    """
    job = _queue().submit(work, name)
    slot, drawn = st.empty(), None
    try:
        while not job.wait(_SECONDS_BETWEEN_LOOKS):
            st.session_state.get("_")  # where Streamlit ends a run that the user has left; it sends nothing
            state = _state(job)
            if state != drawn:  # a browser draws the page anew for each message, alike or not
                slot.progress(state[0], text=state[1])
                drawn = state
        return job.result()
    finally:  # also when the user clicked elsewhere and Streamlit stops this run
        job.cancel()
        slot.empty()


def _state(job: Job) -> tuple[float, str]:
    """Share that is done, and where the job stands in words."""
    if job.position:
        return 0.0, f"{job.name} · number {job.position} in line"
    done, total, note = job.progress
    count = f" · {done:,} of {total:,}" if total else ""
    return min(done / total, 1.0) if total else 0.0, f"{job.name}{count}{f' · {note}' if note else ''}"
