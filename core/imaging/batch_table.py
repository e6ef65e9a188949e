"""One table of a folder of explanations, read out of their manifests: a row an image."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from core.errors import InputError
from core.files import csv_text, write_atomic

FILE = "summary.csv"
_WHAT = ("class_index", "class_name", "n_pixels", "score", "mean_logit", "mean_probability")


def manifest_row(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What a manifest says in numbers, by column; what was not measured has no column."""
    row = {"image_sha256": manifest["image"]["sha256"], "region": manifest["region"]["region"]}
    row |= {name: manifest[name] for name in _WHAT}
    row |= {"layer": manifest["display"]["layer"]} if "display" in manifest else {}
    row |= {"remark": manifest["remark"]} if "remark" in manifest else {}
    nested = {
        "area_pixels": manifest["class_areas_pixels"],
        "dice": manifest.get("ground_truth", {}).get("dice", {}),
        "agreement": manifest.get("agreement", {}),
    }
    for curve in manifest.get("evidence", {}).get("deletion_insertion", {}).get("curves", ()):
        nested.setdefault(f"{curve['kind']}_area", {})[curve["order"]] = curve["area"]
    measured = {name: values for name, values in nested.items() if values}
    return row | pd.json_normalize(measured, sep=".").iloc[0].to_dict()


def write_table(out: Path, explained: Sequence[str], failed: Mapping[str, str]) -> None:
    """Write ``summary.csv`` over the folders of ``out``: a row an image, those that failed with their error.

    Args:
        out: the folder of the folders; the file appears whole or not at all.
        explained: names of finished folders.
        failed: image -> what was wrong.

    Raises:
        InputError: it cannot be written.
    """
    rows: list[dict[str, Any]] = [
        {"image": name} | manifest_row(json.loads((out / name / "manifest.json").read_text(encoding="utf-8")))
        for name in explained
    ]
    rows += [{"image": name, "error": message} for name, message in failed.items()]
    table = pd.DataFrame(rows).sort_values("image", kind="stable")
    try:
        write_atomic(out / FILE, csv_text(table).encode())
    except OSError as error:
        raise InputError(
            f"the table {out / FILE} cannot be written ({error.strerror})", "choose another output folder"
        ) from error
