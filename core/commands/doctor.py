"""``python -m core doctor``: what is here, what is not and how to get it."""

import argparse
import json
from dataclasses import asdict

HELP = "show device, versions, data and models found, what is missing and how to get it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(args: argparse.Namespace) -> None:
    """Print the findings by area; the exit status is 1 where something is wrong."""
    from core.doctor import WRONG, check_all

    checks = check_all()
    if args.json:
        print(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        _print(checks)
    if any(check.state == WRONG for check in checks):
        raise SystemExit(1)


def _print(checks: list) -> None:
    width = max(len(check.name) for check in checks)
    area = ""
    for check in checks:
        if check.area != area:
            area = check.area
            print(f"\n{area}" if check is not checks[0] else area)
        print(f"  {check.name:<{width}}  {check.state:<8}  {check.detail}")
        if check.fix:
            print(f"  {'':<{width}}  {'':<8}  -> {check.fix}")
