"""``python -m core serialize``: print one subject's record as the model reads it."""

import argparse
import re
from datetime import datetime, timedelta
from typing import Any

from core.ehr.lookback import LOOKBACKS
from core.errors import InputError

HELP = "print one subject's record at a time, as the language model reads it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("dataset", metavar="DATASET", help="MEDS dataset folder")
    parser.add_argument("--subject", required=True, type=int, metavar="ID", help="subject id")
    parser.add_argument(
        "--at", required=True, metavar="ISO_TIME", help="prediction time, like 2015-03-02T23:59:00; events at it count"
    )
    add_serialization(parser)
    parser.add_argument("--max-tokens", type=int, metavar="N", help="cut the text to N tokens of the encoder")
    parser.add_argument("--encoder", metavar="NAME", help="whose tokens are counted (default: CHARTLIGHT_ENCODER)")
    parser.add_argument(
        "--packing",
        default="truncate",
        choices=("truncate", "fair"),
        help="how to cut: the end off (the paper's), or every section to a share",
    )
    parser.add_argument(
        "--concepts", metavar="CONCEPT.csv", help="Athena CONCEPT.csv for codes that the dataset does not describe"
    )


def add_serialization(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that say how a record is written; see :func:`serialization`."""
    parser.add_argument(
        "--profile",
        default="corrected",
        choices=("corrected", "paper"),
        help="paper: byte for byte what the paper's code writes; corrected: its known defects mended (default)",
    )
    parser.add_argument("--strategy", default="markdown", choices=("markdown", "recent_codes"))
    parser.add_argument("--drop", default="", metavar="SECTION,...", help="sections to leave out")
    parser.add_argument("--keep", metavar="SECTION,...", help="sections to keep alone")
    parser.add_argument("--lookback", metavar="SPAN", help="only events this far back, like 90d, 12h, 1mo or 2y")
    parser.add_argument("--values", type=int, default=3, metavar="N", help="values per aggregated concept (default 3)")


def serialization(args: argparse.Namespace) -> Any:
    """The SerializationOptions of the arguments. Raises InputError for those that cannot be."""
    from core.ehr.markdown import SerializationOptions

    return SerializationOptions(
        profile=args.profile,
        strategy=args.strategy,
        drop=names(args.drop),
        keep=None if args.keep is None else names(args.keep),
        lookback=None if args.lookback is None else parse_span(args.lookback),
        values=args.values,
    )


def run(args: argparse.Namespace) -> None:
    """Print the text alone."""
    from core.ehr.markdown import serialize
    from core.ehr.store import open_dataset

    at = parse_time(args.at)
    options = serialization(args)
    if args.max_tokens is not None and args.max_tokens < 1:
        raise InputError(f"--max-tokens {args.max_tokens} leaves nothing", "give 1 or more")
    dataset = open_dataset(args.dataset, args.concepts)
    record = serialize(dataset.events(args.subject), at, dataset.vocabulary, options)
    text = record.text
    if args.max_tokens is not None:
        from core.ehr.budget import pack
        from core.embedding.registry import get_spec
        from core.embedding.tokens import TextTokenizer
        from core.embedding.weights import find_weights

        tokenizer = TextTokenizer(find_weights(get_spec(args.encoder)).folder)
        text = pack(record, args.max_tokens, tokenizer.offsets, args.packing).text
    print(text)


def parse_time(text: str) -> datetime:
    """Read an ISO time without zone."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"{text!r} is no ISO time", "write it like 2015-03-02T23:59:00") from None
    if time.tzinfo is not None:
        raise InputError(f"the time {text} has a time zone, those of records have none", "leave the zone out")
    return time


_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1), "y": timedelta(days=365)}


def parse_span(text: str) -> timedelta | None:
    """Read a span like 12h, 90d, 6w or 2y (of 365 days), or a window of the paper (1mo; full, which is None)."""
    name = text.strip().lower()
    if name in LOOKBACKS:
        return LOOKBACKS[name]
    match = re.fullmatch(r"(\d{1,5})([hdwy])", name)
    if match is None:
        raise InputError(
            f"{text!r} is no span of time", f"write it like 12h, 90d, 6w or 2y, or {', '.join(LOOKBACKS)}"
        )
    return int(match[1]) * _UNITS[match[2]]


def names(text: str) -> tuple[str, ...]:
    """The words between commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
