"""Deletion and insertion, 20 steps, both methods and both controls, per perturbed image against one forward pass.

python -m benchmarks.faithfulness [--rounds 3] [--threads 2]
"""

import copy
import resource

import torch

from benchmarks._common import interleave, median, report
from benchmarks.cam import forward, make, parse_arguments, picture
from core.imaging.cams import explain
from core.imaging.faithfulness import deletion_insertion
from core.imaging.regions import Region


def main() -> None:
    args = parse_arguments(rounds=3)
    segmenter, image = make(), picture(256)
    tensor = segmenter.prepare(image)[0]
    # the peer is the network as segmentation_models_pytorch builds it; our segmenters hold it channels last
    plain = copy.deepcopy(segmenter.model).to(memory_format=torch.contiguous_format)
    result = explain(segmenter, image, Region("image"), 1)
    found = deletion_insertion(segmenter, image, result, "decoder.blocks.2", steps=2)  # makes the folded copy
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    def forwards() -> None:
        for _ in range(20):
            forward(plain, tensor)

    def measure() -> None:
        nonlocal found
        found = deletion_insertion(segmenter, image, result, "decoder.blocks.2", steps=20)

    times = interleave({"forwards": forwards, "measure": measure}, args.rounds)
    n_points = 8 * 20  # eight curves of twenty perturbed images; their common ends are run once
    ratio = median([(b / n_points) / (a / 20) for a, b in zip(times["forwards"], times["measure"], strict=True)])
    report(
        "faithfulness",
        ours=median(times["measure"]) / n_points,
        peer=median(times["forwards"]) / 20,
        unit="s per image",
        ratio=ratio,
        target="ratio <= 0.85",
        met=ratio <= 0.85,
        rounds=args.rounds,
        images_run=found.n_images,
        perturbed_images=n_points,
        ratio_per_image_run=ratio * n_points / found.n_images,
        memory_growth_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before,
        threads=args.threads,
    )


if __name__ == "__main__":
    main()
