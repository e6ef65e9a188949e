import argparse
import json

HELP = "show or clear the embedding cache"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--stats", action="store_true", help="print what the cache holds (the default)")
    what.add_argument("--clear", action="store_true", help="remove all vectors")
    parser.add_argument("--encoder", metavar="NAME", help="with --clear: only this encoder's vectors")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> None:
    """Print the cache's statistics or clear it."""
    from core.embedding.cache import EmbeddingCache
    from core.errors import InputError

    if args.encoder and not args.clear:
        raise InputError("--encoder goes with --clear", "add --clear")
    cache = EmbeddingCache()
    if args.clear:
        removed = cache.clear(args.encoder)
        print(json.dumps({"removed": removed}) if args.json else f"removed {removed:,} vectors from {cache.path}")
        return
    stats = cache.stats()
    if args.json:
        record = {"path": str(stats.path), "vectors": stats.vectors, "bytes": stats.bytes}
        print(json.dumps({**record, "max_bytes": stats.max_bytes, "encoders": stats.encoders}))
        return
    print(
        f"{stats.path}: {stats.vectors:,} vectors, {stats.bytes / 1e6:,.1f} of at most {stats.max_bytes / 1e6:,.0f} MB"
    )
    for encoder, count in stats.encoders.items():
        print(f"  {encoder}: {count:,}")
