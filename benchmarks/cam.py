"""Maps of all block layers by both methods against one forward pass, and against grad-cam called per layer and method.

A resnet34 U-Net (random weights) at 256 x 256 and 512 x 512. Also the peak memory against a training step's.

    python -m benchmarks.cam [--rounds 7] [--threads 2]
"""

import argparse
import copy
import json
import subprocess
import sys

import numpy as np
import torch

from benchmarks._common import interleave, median, peak_memory_mib, report
from core.imaging.cams import explain
from core.imaging.preprocess import Preprocessing
from core.imaging.regions import Region
from core.imaging.segmenters import Segmenter, wrap_model

CARD = Preprocessing(channels=3, resize="native", intensity="window", low=0, high=1, mean=0, std=1)


def make() -> Segmenter:
    import segmentation_models_pytorch as smp  # after core.torchvision_ops

    torch.manual_seed(0)
    model = smp.Unet("resnet34", encoder_weights=None, classes=3).eval().requires_grad_(False)
    return wrap_model(model.to(memory_format=torch.channels_last), preprocessing=CARD)


def parse_arguments(rounds: int, parser: argparse.ArgumentParser | None = None) -> argparse.Namespace:
    """Read the command line with its rounds and threads, and give the threads to torch."""
    parser = parser or argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    return args


def picture(size: int) -> np.ndarray:
    return np.random.default_rng(0).random((size, size, 3)).astype(np.float32)


def forward(model: torch.nn.Module, tensor: torch.Tensor) -> None:
    with torch.inference_mode():
        model(tensor)


def grad_cam(model: torch.nn.Module, layers: list[str], tensor: torch.Tensor) -> None:
    """grad-cam as its own tutorial for segmentation calls it: one object a layer and method."""
    from pytorch_grad_cam import GradCAM, HiResCAM
    from pytorch_grad_cam.utils.model_targets import SemanticSegmentationTarget

    size = tensor.shape[-1]
    target = [SemanticSegmentationTarget(1, np.ones((size, size), np.float32))]
    for name in layers:
        for method in (GradCAM, HiResCAM):
            with method(model, [model.get_submodule(name)]) as cam:
                cam(tensor, target)


def peak_memory(what: str) -> float:
    """Peak resident memory in MiB of a fresh process that does ``what`` once."""
    line = [sys.executable, "-m", "benchmarks.cam", "--memory", what]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def memory(what: str) -> None:
    segmenter, image = make(), picture(512)
    if what == "explain":
        explain(segmenter, image, Region("image"), 1)
    else:
        model = segmenter.model.train().requires_grad_(True)
        optimizer = torch.optim.AdamW(model.parameters())
        tensor = segmenter.prepare(image)[0]
        loss = torch.nn.functional.cross_entropy(model(tensor), torch.zeros(1, 512, 512, dtype=torch.long))
        loss.backward()
        optimizer.step()
    print(peak_memory_mib())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer-rounds", type=int, default=3, help="of grad-cam, which is slow")
    parser.add_argument("--memory", choices=("explain", "train"))
    args = parse_arguments(7, parser)
    if args.memory:
        memory(args.memory)
        return
    segmenter = make()
    # the peers run the network as segmentation_models_pytorch builds it; our segmenters hold it channels last
    plain = copy.deepcopy(segmenter.model).to(memory_format=torch.contiguous_format)
    found: dict[int, float] = {}
    own: dict[int, float] = {}
    seconds: dict[int, tuple[float, float]] = {}
    for size in (512, 256):
        image = picture(size)
        tensor = segmenter.prepare(image)[0]
        cases = {
            "forward": lambda tensor=tensor: forward(plain, tensor),
            "own forward": lambda tensor=tensor: forward(segmenter.model, tensor),
            "explain": lambda image=image: explain(segmenter, image, Region("image"), 1),
        }
        interleave(cases, 1)
        times = interleave(cases, args.rounds)
        # each round's two runs are neighbours in time, so their ratio stands the machine's ups and downs best
        found[size] = median([b / a for a, b in zip(times["forward"], times["explain"], strict=True)])
        own[size] = median([b / a for a, b in zip(times["own forward"], times["explain"], strict=True)])
        seconds[size] = (median(times["forward"]), median(times["explain"]))
    tensor = segmenter.prepare(picture(256))[0]
    stock = copy.deepcopy(plain).requires_grad_(True)
    peer = lambda: grad_cam(stock, list(segmenter.layers), tensor)
    passes = 2 * len(segmenter.layers)  # of grad-cam; ours runs as often, so that both are warm
    ours_often = lambda: [cases["explain"]() for _ in range(passes)]
    peers = interleave({"ours": ours_often, "grad-cam": peer}, args.peer_rounds)
    faster = passes * median([b / a for a, b in zip(peers["ours"], peers["grad-cam"], strict=True)])
    step, ours = peak_memory("train"), peak_memory("explain")
    report(
        "cam",
        ours=seconds[256][1],
        peer=seconds[256][0],
        unit="s",
        ratio=found[256],
        target="ratio <= 1.9 (256), <= 2.2 (512), grad-cam >= 40 x, peak memory <= a training step's",
        met=found[256] <= 1.9 and found[512] <= 2.2 and faster >= 40 and ours <= step,
        rounds=args.rounds,
        layers=len(segmenter.layers),
        ratio_512=found[512],
        ratio_to_channels_last_forward=own[256],
        ratio_to_channels_last_forward_512=own[512],
        ours_512=seconds[512][1],
        forward_512=seconds[512][0],
        times_grad_cam=faster,
        grad_cam_s=median(peers["grad-cam"]),
        peak_mib_512=ours,
        training_step_peak_mib_512=step,
        threads=args.threads,
    )


if __name__ == "__main__":
    main()
