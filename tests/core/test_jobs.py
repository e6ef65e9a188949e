"""The queue keeps order, bounds its length, and lets go of cancelled and late jobs."""

import threading

import pytest

from core.jobs import JobCancelled, JobQueue, JobTimeoutError, QueueFullError


class Gate:
    """Work that reports that it has started and then waits until it is opened."""

    def __init__(self):
        self.started, self.open = threading.Event(), threading.Event()

    def __call__(self, progress):
        self.started.set()
        while not self.open.wait(0.005):
            progress(1, 2, "waiting at the gate")
        return "through"


def busy_queue(**settings):
    queue, gate = JobQueue(**settings), Gate()
    running = queue.submit(gate)
    assert gate.started.wait(5)
    return queue, gate, running


def test_results_come_in_the_order_of_arrival():
    queue, gate, running = busy_queue()
    order = []
    jobs = [queue.submit(lambda progress, n=n: order.append(n) or n) for n in range(5)]
    assert [job.position for job in jobs] == [1, 2, 3, 4, 5]
    assert running.position == 0 and running.state == "running"
    gate.open.set()
    assert [job.result() for job in jobs] == order == [0, 1, 2, 3, 4]
    assert running.result() == "through" and running.progress[2] in ("", "waiting at the gate")


def test_as_many_run_at_once_as_there_are_workers():
    queue, gates = JobQueue(workers=2), [Gate(), Gate(), Gate()]
    jobs = [queue.submit(gate) for gate in gates]
    assert gates[0].started.wait(5) and gates[1].started.wait(5)
    assert not gates[2].started.wait(0.05)
    gates[0].open.set()
    assert gates[2].started.wait(5)
    for gate in gates:
        gate.open.set()
    assert [job.result() for job in jobs] == ["through"] * 3


def test_an_error_of_the_work_reaches_its_caller_and_the_queue_goes_on():
    queue = JobQueue()

    def broken(progress):
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        queue.submit(broken).result()
    assert queue.submit(lambda progress: 7).result() == 7


def test_a_full_line_refuses_with_a_sentence():
    queue, gate, _running = busy_queue(limit=2)
    queue.submit(lambda progress: 1)
    queue.submit(lambda progress: 2)
    with pytest.raises(QueueFullError, match="2 jobs wait already; try again"):
        queue.submit(lambda progress: 3)
    gate.open.set()


def test_a_cancelled_waiting_job_never_runs():
    queue, gate, _running = busy_queue()
    ran = []
    job, after = queue.submit(ran.append), queue.submit(lambda progress: "next")
    job.cancel()
    assert after.position == 1
    gate.open.set()
    assert after.result() == "next" and ran == []
    with pytest.raises(JobCancelled):
        job.result()


def test_cancel_stops_running_work_at_its_next_report():
    queue, _gate, running = busy_queue()
    running.cancel()
    assert queue.submit(lambda progress: "next").result() == "next"  # the worker came free
    assert running.state == "cancelled"
    with pytest.raises(JobCancelled):
        running.result()


def test_a_late_job_is_given_up_with_a_sentence_and_the_worker_comes_free():
    queue, _gate, running = busy_queue(timeout_s=0.2)
    with pytest.raises(JobTimeoutError, match=r"ran longer than 0\.2 seconds; try again"):
        running.result()
    queue.timeout_s = 60
    assert queue.submit(lambda progress: "next").result() == "next"


def test_a_job_that_waits_too_long_is_given_up_too():
    queue, gate, _running = busy_queue()
    queue.timeout_s = 0.1
    job = queue.submit(lambda progress: 1)
    with pytest.raises(JobTimeoutError, match="waited longer"):
        job.result()
    assert job.position == 0
    gate.open.set()


def test_cancel_after_the_end_changes_nothing():
    job = JobQueue().submit(lambda progress: "kept")
    assert job.result() == "kept"
    job.cancel()
    assert job.state == "done" and job.result() == "kept"
