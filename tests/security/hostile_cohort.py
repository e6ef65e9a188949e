"""A dataset in which every text that a dataset can hold is an attack: codes, descriptions, values, units, names."""

import json
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from core.ehr import meds_layout

SUBJECT, OTHER = 7, 8
AT = datetime(2015, 3, 9, 23, 59)
EVIL = "evil.example"


def attack(field: str) -> str:
    """Every kind of mark-up that a Markdown, HTML, LaTeX or Plotly renderer might take from the field ``field``."""
    return (
        f"{field} :red[REDMARK] **BOLDMARK** `CODEMARK` $x^2$ $$y_1$$ :material/home: :smile: "
        f"![i](http://{EVIL}/{field}.png) [l](http://{EVIL}/{field}) [j](javascript:window.evil=1) "
        f"<img src=http://{EVIL}/{field}.gif onerror=window.evil=1> <script>window.evil=1</script> "
        f'<a href="http://{EVIL}/{field}">a</a> <b>HTMLMARK</b> <iframe src=http://{EVIL}/{field}></iframe> '
        f"<style>@import url(http://{EVIL}/{field}.css)</style> http://{EVIL}/{field} www.{EVIL} a@{EVIL} | a | b |"
    )


def short_attack(field: str) -> str:
    """The same in few characters and without a slash, for names of files and folders."""
    return (
        f"{field} :red[REDMARK] **BOLDMARK** $x^2$ <img src=x onerror=window.evil=1> <b>HTMLMARK<b> ![i](www.{EVIL})"
    )


CONDITION, DRUG, VISIT = f"SNOMED/{attack('code')}", f"RxNorm/{attack('drug')}", f"Visit/{attack('visit')}"
LAB, TEXT_LAB = "LOINC/2823-3", f"LOINC/{attack('lab')}"


def write(folder: Path) -> Path:
    """Write the dataset and return its folder."""
    rows: list[dict] = []

    def event(subject: int, time: datetime | None, code: str, number: float | None = None, **more: object) -> None:
        rows.append({"subject_id": subject, "time": time, "code": code, "numeric_value": number, **more})

    for subject in (SUBJECT, OTHER):
        event(subject, datetime(1950, 1, 1), "MEDS_BIRTH", table="person")
        event(subject, datetime(1950, 1, 1), f"Gender/{attack('gender')}", table=attack("table"))
        event(subject, datetime(1950, 1, 1), f"Race/{attack('race')}", table="person")
        for year in (2013, 2014, 2015):
            start = datetime(year, 3, 1, 10)
            event(subject, start, VISIT, end=start + timedelta(days=8), visit_id=year, table="visit_occurrence")
            event(subject, start, CONDITION, visit_id=year, table="condition_occurrence", text_value=attack("text"))
            event(subject, start, DRUG, visit_id=year, table="drug_exposure", unit=attack("dose"))
            event(subject, start, "Note/x", visit_id=year, table=attack("notes"), text_value=attack("note"))
            for day in range(3):
                time = start + timedelta(days=day)
                event(subject, time, LAB, 3.2 + day, unit=attack("unit"), visit_id=year, table="measurement")
                event(subject, time, TEXT_LAB, 5.0 + day, unit="mmol/L", visit_id=year, table=attack("table"))
                event(subject, time, TEXT_LAB, text_value=attack("result"), visit_id=year, table="measurement")
    events = pl.DataFrame(rows, schema=meds_layout.EVENT_SCHEMA, orient="row")
    meds_layout.write_events(folder, 0, events.sort("subject_id", "time", nulls_last=False, maintain_order=True))
    codes = {code: attack("described") for code in (CONDITION, VISIT, LAB, "Note/x", f"Race/{attack('race')}")}
    meds_layout.write_codes(
        folder,
        pl.DataFrame({"code": list(codes), "description": list(codes.values())}).with_columns(
            parent_codes=pl.lit([attack("parent")])
        ),
    )
    splits = pl.DataFrame({"subject_id": [SUBJECT, OTHER], "split": [attack("split"), "train"]})
    meds_layout.write_splits(folder, splits)
    meds_layout.write_dataset_json(folder, attack("dataset"), attack("etl"), synthetic=False)
    for task in ("guo_icu", short_attack("label")):
        labels = pl.DataFrame({"subject_id": [SUBJECT, SUBJECT], "prediction_time": [AT - timedelta(days=360), AT]})
        meds_layout.write_labels(folder, task, labels.with_columns(value=pl.Series([False, True])))
    case = {
        "subject_id": SUBJECT,
        "prediction_time": AT.isoformat(),
        "title": attack("title"),
        "look_at": attack("look"),
        "task": attack("task"),
        "outcome": True,
    }
    (folder / "metadata" / "cases.json").write_text(json.dumps([case]))
    return folder


def copy_models(folder: Path, root: Path) -> Path:
    """Copy a shipped segmenter and give every text of its card an attack; returns the folder of models."""
    import yaml

    shutil.copytree(root / "assets" / "models" / "chest-xray", folder / "hostile")
    path = folder / "hostile" / "card.yaml"
    card = yaml.safe_load(path.read_text())

    def spoil(value: object) -> object:
        if isinstance(value, dict):
            return {key: spoil(item) for key, item in value.items()}
        if isinstance(value, list):
            return [spoil(item) for item in value]
        return f"{value} {attack('card')}" if isinstance(value, str) and " " in value else value

    path.write_text(yaml.safe_dump(spoil(card)))
    return folder


def copy_run(folder: Path, root: Path) -> Path:
    """Copy the shipped benchmark run and give every text that a run brings along an attack; returns the folder.

    A model's name is what the user of `python -m core benchmark` called its features.
    """
    run = folder / short_attack("run")
    shutil.copytree(root / "assets" / "benchmark" / "demo", run)
    renamed = {name: f"{name} {attack('model')}" for name in ("count", "minilm")}

    def spoil(value: object) -> object:
        if isinstance(value, dict):
            return {key: spoil(item) for key, item in value.items()}
        if isinstance(value, list):
            return [spoil(item) for item in value]
        if not isinstance(value, str):
            return value
        return renamed.get(value) or (f"{value} {attack('record')}" if " " in value else value)

    record = json.loads((run / "run.json").read_text())
    record["dataset"]["name"] = attack("dataset")
    (run / "run.json").write_text(json.dumps(spoil(record)))
    for name in ("results", "groups", "predictions"):
        table = pl.read_parquet(run / f"{name}.parquet", glob=False).with_columns(pl.col("model").replace(renamed))
        if "chosen" in table.columns:
            table = table.with_columns(pl.concat_str("chosen", pl.lit(f" {attack('chosen')}")).alias("chosen"))
        table.write_parquet(run / f"{name}.parquet")
    pairs = pl.read_parquet(run / "differences.parquet", glob=False)
    for name, other in renamed.items():
        old = pl.col("a", "b")
        pairs = pairs.with_columns(
            pl.when(old.str.starts_with(f"{name} ")).then(old.str.replace(name, other, literal=True)).otherwise(old)
        )
    pairs.write_parquet(run / "differences.parquet")
    problems = pl.read_parquet(run / "problems.parquet", glob=False)
    row = {name: [attack(name) if kind == pl.String else 1] for name, kind in problems.schema.items()}
    pl.DataFrame(row, schema=problems.schema).write_parquet(run / "problems.parquet")
    return folder
