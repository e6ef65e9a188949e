import argparse
from pathlib import Path

from core.commands.serialize import add_serialization, names, serialization

HELP = "embed the records of a dataset's labels into a features folder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("dataset", metavar="DATASET", type=Path, help="MEDS dataset folder with labels")
    parser.add_argument("--out", required=True, metavar="FEATURES", type=Path, help="features folder to write")
    parser.add_argument("--encoder", metavar="NAME", help="encoder (default: CHARTLIGHT_ENCODER)")
    parser.add_argument("--tasks", metavar="TASK,...", help="tasks (default: all that have labels)")
    parser.add_argument("--engine", default="local", choices=("local", "ray"), help="where it runs (default: local)")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="actors of the ray engine (default 2)")
    parser.add_argument("--device", help="torch device (default: CHARTLIGHT_DEVICE)")
    parser.add_argument("--backend", default="auto", choices=("auto", "onnxruntime", "torch"))
    parser.add_argument("--compile", action="store_true", help="torch.compile: a minute first, then faster")
    parser.add_argument("--download", action="store_true", help="fetch missing weights from the hub first")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="tokens read of a record (default: the encoder's)")
    parser.add_argument("--chunk", type=int, metavar="N", help="average windows of N tokens (the paper's ablation)")
    parser.add_argument("--no-cache", action="store_true", help="neither read nor fill the embedding cache")
    add_serialization(parser)


def run(args: argparse.Namespace) -> None:
    """Embed and say what was done."""
    from core.ehr.usable_labels import LEFT_OUT
    from core.embedding.cohort import EncoderChoice, embed_cohort
    from core.embedding.registry import get_spec
    from core.embedding.weights import find_weights
    from core.progress import terminal_bar
    from core.wording import counted

    options = serialization(args)
    spec = get_spec(args.encoder)
    choice = EncoderChoice(
        spec.name, args.chunk, args.max_tokens, args.device, args.backend, args.compile, not args.no_cache
    )
    if args.download and not spec.remote:
        find_weights(spec, download=True)
    tasks = None if args.tasks is None else list(names(args.tasks))
    with terminal_bar("Embedding", unit="record") as progress:
        report = embed_cohort(
            args.dataset, args.out, choice, tasks, args.engine, options, workers=args.workers, progress=progress
        )
    stats = report.stats
    print(f"{report.path}: {counted(report.rows, 'row')}, {report.resumed_rows:,} of them from an earlier run")
    if report.left_out:
        said = ", ".join(f"{counted(n, 'label')} {LEFT_OUT[kind]}" for kind, n in report.left_out.items())
        print(f"  left out: {said}")
    if stats.tokens:
        print(
            f"  computed {stats.computed:,} of {stats.tokens:,} tokens ({stats.saved:.0%} saved) "
            f"in {report.seconds:,.0f} s"
        )
