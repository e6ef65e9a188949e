"""Sixteen regions of one image against one region: all layers, both methods, the forward pass shared.

python -m benchmarks.regions [--rounds 5] [--threads 2]
"""

from benchmarks._common import interleave, median, report
from benchmarks.cam import make, parse_arguments, picture
from core.imaging.cams import explain, explain_regions
from core.imaging.regions import Region


def main() -> None:
    args = parse_arguments(rounds=5)
    segmenter, image = make(), picture(256)
    regions = [Region("pixel", point=(16 * index + 8, 16 * index + 8)) for index in range(16)]
    cases = {
        "one": lambda: explain(segmenter, image, regions[0], 1),
        "sixteen": lambda: explain_regions(segmenter, image, regions, 1),
    }
    interleave({"one": cases["one"]}, 2)
    times = interleave(cases, args.rounds)
    ratio = median([b / a for a, b in zip(times["one"], times["sixteen"], strict=True)])
    report(
        "regions",
        ours=median(times["sixteen"]),
        peer=median(times["one"]),
        unit="s",
        ratio=ratio,
        target="16 regions <= 8 x one",
        met=ratio <= 8,
        rounds=args.rounds,
        threads=args.threads,
    )


if __name__ == "__main__":
    main()
