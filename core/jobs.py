"""A queue in front of the models: few workers, a bound on waiting jobs, positions, time-outs and cancel.

Streamlit runs every session in a thread of its own. Were each to call a model directly, twenty sessions would share
two cores twenty ways and all wait. Here they wait in line, know their place, and can leave it.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from core.errors import ChartlightError
from core.progress import Progress

T = TypeVar("T")


class JobCancelled(Exception):  # noqa: N818  (not an error: the user asked for it)
    """Raised inside the work, at its next progress report, once the job is cancelled or over time."""


class QueueFullError(ChartlightError):
    """Too many jobs wait already."""


class JobTimeoutError(ChartlightError):
    """The job waited or ran longer than the limit."""


class Job(Generic[T]):
    """One piece of work in the queue; all attributes may be read from any thread."""

    def __init__(self, queue: "JobQueue", work: Callable[[Progress], T], name: str):
        self.name = name
        self.state = "waiting"
        self.progress: tuple[int, int, str] = (0, 0, "")
        self._queue = queue
        self._work = work
        self._deadline = time.monotonic() + queue.timeout_s
        self._finished = threading.Event()
        self._value: T | None = None
        self._error: BaseException | None = None

    @property
    def position(self) -> int:
        """0 while running or finished, else the number of jobs that come before this one's turn, plus one."""
        return self._queue.position(self)

    @property
    def done(self) -> bool:
        """Whether a result or an error is there."""
        return self._finished.is_set()

    def cancel(self) -> None:
        """Leave the line, or stop running work at its next progress report. Without effect on a finished job."""
        self._queue.remove(self)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the end; return whether it has come. A job that is past its deadline is given up here."""
        finished = self._finished.wait(seconds)
        if not finished and time.monotonic() > self._deadline:
            self._finish("timed out", error=self._timeout())
            self._queue.remove(self)
            return True
        return finished

    def result(self) -> T:
        """Wait for the result and return it.

        Raises:
            JobTimeoutError: it waited or ran too long.
            JobCancelled: it was cancelled.
            Exception: whatever the work raised.
        """
        while not self.wait(0.5):
            pass
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]

    def _timeout(self) -> JobTimeoutError:
        verb = "waited" if self.state == "waiting" else "ran"
        return JobTimeoutError(
            f"{self.name} {verb} longer than {self._queue.timeout_s:g} seconds",
            "try again when fewer people use the app, or raise CHARTLIGHT_JOB_TIMEOUT_S",
        )

    def _report(self, done: int, total: int, note: str = "") -> None:
        if self._finished.is_set():
            raise JobCancelled(self.name)
        if time.monotonic() > self._deadline:
            raise self._timeout()
        self.progress = (done, total, note)

    def _run(self) -> None:
        try:
            self._finish("done", value=self._work(self._report))
        except BaseException as error:
            self._finish("failed", error=error)

    def _finish(self, state: str, value: T | None = None, error: BaseException | None = None) -> None:
        with self._queue.lock:
            if self._finished.is_set():
                return
            self.state, self._value, self._error = state, value, error
            self._finished.set()


class JobQueue:
    """First come, first served, by ``workers`` daemon threads that start with the first job.

    Args:
        limit: jobs that may wait; one more is refused.
        timeout_s: seconds from joining the line to the result.
        workers: jobs that run at once.
    """

    def __init__(self, limit: int = 20, timeout_s: float = 120.0, workers: int = 1):
        self.limit = limit
        self.timeout_s = timeout_s
        self.lock = threading.RLock()
        self._workers = workers
        self._waiting: deque[Job] = deque()
        self._arrived = threading.Condition(self.lock)
        self._threads: list[threading.Thread] = []

    def submit(self, work: Callable[[Progress], T], name: str = "the work") -> Job[T]:
        """Join the line. ``work`` gets a progress callback, whose call is also where a cancel takes effect.

        Raises:
            QueueFullError: ``limit`` jobs wait already.
        """
        with self.lock:
            if len(self._waiting) >= self.limit:
                raise QueueFullError(f"{len(self._waiting)} jobs wait already", "try again in a minute")
            job: Job[T] = Job(self, work, name)
            self._waiting.append(job)
            if len(self._threads) < self._workers:
                thread = threading.Thread(target=self._serve, name="chartlight-models", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._arrived.notify()
            return job

    def position(self, job: Job) -> int:
        """Return the job's place in line from 1, or 0 where it does not wait."""
        with self.lock:
            return self._waiting.index(job) + 1 if job in self._waiting else 0

    def remove(self, job: Job) -> None:
        """Take a job out of the line and mark it cancelled, if it has not finished."""
        with self.lock:
            if job in self._waiting:
                self._waiting.remove(job)
            job._finish("cancelled", error=JobCancelled(job.name))

    def _serve(self) -> None:
        while True:
            with self.lock:
                while not self._waiting:
                    self._arrived.wait()
                job = self._waiting.popleft()
                job.state = "running"
            job._run()
            del job  # and with it the result, which is its session's: this thread may wait for hours
