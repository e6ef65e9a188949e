"""The benchmark runner against the plain scikit-learn loop over the same work.

15 tasks, 5,000 labels each (a third a split), 384 features, the paper's whole grid of C, 1,000 patient-level
bootstrap replicates of AUROC, AUPRC and Brier. Five tasks a round, the two programs in turn. The loop draws the same
patients, so that the metrics can be compared number for number.

    python -m benchmarks.benchmark_runner [--rounds 3] [--tasks-a-round 5] [--replicates 1000] [--peer-threads 1]
"""

import argparse
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.preprocessing import MaxAbsScaler
from threadpoolctl import threadpool_limits

from benchmarks._common import report
from core.ehr.tasks import TASKS
from core.risk.bootstrap import Resamples, bootstrap_values
from core.risk.cohort import TaskLabels
from core.risk.featuresets import FeatureSet
from core.risk.logistic import PAPER_GRID
from core.risk.runner import RunOptions, run_benchmark

N_LABELS, N_FEATURES, N_PATIENTS = 5000, 384, 1800


def make_cohort(tasks: list[str], seed: int) -> tuple[FeatureSet, dict[str, TaskLabels]]:
    """Embedding-like features with labels of prevalence 5 to 40 % that follow a noisy direction."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(N_LABELS, 40)) @ rng.normal(size=(40, N_FEATURES))
    matrix += rng.normal(size=matrix.shape) * 2
    matrix = (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)
    subject = rng.integers(0, N_PATIENTS, N_LABELS)
    time_ = np.datetime64("2020-01-01", "us") + np.arange(N_LABELS) * np.timedelta64(1, "h")
    split = np.array(["train", "tuning", "held_out"])[rng.permutation(N_PATIENTS) % 3][subject]
    labels = {}
    for task in tasks:
        margin = matrix @ rng.normal(size=N_FEATURES)
        margin = 1.2 * (margin - margin.mean()) / margin.std() + np.log(p := rng.uniform(0.05, 0.4)) - np.log(1 - p)
        target = (rng.random(N_LABELS) < 1 / (1 + np.exp(-margin))).astype(np.int8)
        labels[task] = TaskLabels(task, subject, time_, split, {task: target})
    return FeatureSet("made", ("lr_lbfgs",), subject, time_, None, matrix), labels


def ours(features: FeatureSet, labels: dict[str, TaskLabels], replicates: int) -> dict[str, float]:
    """Run the product's runner into an empty folder; AUROC by task."""
    with tempfile.TemporaryDirectory() as folder:
        result = run_benchmark(
            None, [features], Path(folder), list(labels), RunOptions(replicates=replicates), labels=labels
        )
    auroc = result.results.filter(result.results["score"] == "auroc")
    return dict(zip(auroc["labeling_function"].to_list(), auroc["value"].to_list()))


def loop(features: FeatureSet, labels: dict[str, TaskLabels], replicates: int) -> dict[str, tuple]:
    """The plain loop; (AUROC, scores, metrics of all replicates) by task."""
    out = {}
    for task, of_task in labels.items():
        target = of_task.target[task]
        train, tuning, held = (of_task.rows(split) for split in ("train", "tuning", "held_out"))
        scaler = MaxAbsScaler().fit(features.matrix[train])
        x, v, h = (scaler.transform(features.matrix[rows]).astype(np.float64) for rows in (train, tuning, held))
        best, best_auroc = None, -1.0
        for c in PAPER_GRID:
            model = LogisticRegression(C=c, solver="lbfgs", tol=1e-4, max_iter=1000).fit(x, target[train])
            value = roc_auc_score(target[tuning], model.predict_proba(v)[:, 1])
            if value > best_auroc:
                best, best_auroc = model, value
        probability, outcome = best.predict_proba(h)[:, 1], target[held]
        resamples = Resamples(of_task.subject[held], replicates)
        order = np.argsort(resamples.cluster, kind="stable")
        start = np.searchsorted(resamples.cluster[order], np.arange(resamples.cluster.max() + 2))
        rows_of = [order[a:b] for a, b in pairwise(start)]
        metrics = np.empty((3, replicates))
        for r, counts in enumerate(resamples.counts):
            rows = np.concatenate([np.tile(rows_of[s], counts[s]) for s in np.flatnonzero(counts)])
            y, p = outcome[rows], probability[rows]
            metrics[:, r] = roc_auc_score(y, p), average_precision_score(y, p), brier_score_loss(y, p)
        out[task] = (roc_auc_score(outcome, probability), probability, metrics)
    return out


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tasks-a-round", type=int, default=5)
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--peer-threads", type=int, help="threads of the loop (default: the library's)")
    args = parser.parse_args()
    seconds = {"ours": 0.0, "peer": 0.0}
    ratios, worst_auroc, worst_metric = [], 0.0, 0.0
    names = [task.id for task in TASKS if task.label_type != "findings"]
    for r in range(args.rounds):
        tasks = [names[(r * args.tasks_a_round + i) % len(names)] for i in range(args.tasks_a_round)]
        features, labels = make_cohort(tasks, r)
        took = {}
        for name in ("ours", "peer") if r % 2 == 0 else ("peer", "ours"):
            start = time.perf_counter()
            if name == "ours":
                mine = ours(features, labels, args.replicates)
            else:
                with threadpool_limits(args.peer_threads):
                    theirs = loop(features, labels, args.replicates)
            took[name] = time.perf_counter() - start
            seconds[name] += took[name]
        ratios.append(took["peer"] / took["ours"])
        for task, (auroc, probability, metrics) in theirs.items():
            held = labels[task].rows("held_out")
            resamples = Resamples(labels[task].subject[held], args.replicates)
            fast = bootstrap_values(labels[task].target[task][held], probability, resamples)
            same = np.stack([fast[name] for name in ("auroc", "auprc", "brier")])
            worst_metric = max(worst_metric, float(np.abs(same - metrics).max()))
            worst_auroc = max(worst_auroc, abs(mine[task] - auroc))
        print(
            f"round {r + 1}: ours {took['ours']:.1f} s, loop {took['peer']:.1f} s, ratio {ratios[-1]:.1f}", flush=True
        )
    print(f"largest difference: AUROC {worst_auroc:.5f} (bound 0.002), metrics {worst_metric:.1e} (bound 1e-9)")
    ratio = float(np.median(ratios))
    report(
        "benchmark_runner",
        ours=seconds["ours"],
        peer=seconds["peer"],
        unit="s",
        ratio=ratio,
        target=">= 5, AUROC within 0.002, metrics within 1e-9",
        met=ratio >= 5 and worst_auroc <= 0.002 and worst_metric <= 1e-9,
        rounds=args.rounds,
        largest_auroc_difference=worst_auroc,
        largest_metric_difference=worst_metric,
        peer_threads=args.peer_threads or "library's choice",
    )


if __name__ == "__main__":
    main()
