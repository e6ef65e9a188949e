"""Whatever leaves the app says what it is: the safety notice in every export, and no cell that a spreadsheet runs."""

import ast
import csv
import io
import json
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.figures import Plot, Series, render
from core.files import csv_text
from core.imaging.cams import explain
from core.imaging.export import explanation_files, zip_files
from core.imaging.readers import read_image
from core.imaging.regions import Region
from core.risk.documents import scores_document, scores_html
from core.risk.report import render_report
from core.risk.results import groups_table, results_table
from core.risk.runner import BenchmarkResult
from core.safety import EXPORT_NOTICE, NOTICE
from pages.shared.patients import exports
from tests.core.imaging.nets import small_segmenter

ROOT = Path(__file__).resolve().parents[2]
WRITERS = [csv_text]


@pytest.fixture(scope="module")
def explanation() -> dict[str, bytes]:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)).save(file, "PNG")
    segmenter, image = small_segmenter(), read_image(file.getvalue())
    result = explain(segmenter, image, Region("image"), 1)
    return explanation_files(segmenter, image, result, "decoder.blocks.2", figures=("png", "svg", "pdf"))


def words(html: str) -> str:
    """The text of a page as a reader sees it."""
    parser, parts = HTMLParser(), []
    parser.handle_data = parts.append
    parser.feed(html)
    return " ".join(" ".join(parts).split())


def test_the_notice_is_one():
    assert NOTICE in EXPORT_NOTICE
    assert "Not a medical device" in NOTICE


def test_the_text_of_a_record():
    assert EXPORT_NOTICE in exports.text("# Patient", "P-X as of 2015").splitlines()[0]


@pytest.mark.parametrize("write", WRITERS)
def test_tables(write):
    lines = write(pd.DataFrame({"a": [1.5], "b": ["x"]})).splitlines()
    assert lines == [f"# {EXPORT_NOTICE}", "a,b", "1.5,x"]


@pytest.mark.parametrize("write", WRITERS)
@given(
    st.lists(st.text(st.characters(codec="utf-8"), max_size=12), min_size=1, max_size=4), st.sampled_from("=+-@\t\r")
)
def test_no_cell_of_a_table_is_a_formula(write, texts: list[str], start: str):
    table = pd.DataFrame({"cell": [*texts, f"{start}cmd|' /C calc'!A0", f"{start}SUM(1+1)"]})
    rows = list(csv.reader(io.StringIO(write(table).partition("\n")[2], newline="")))
    for cell, *_rest in rows[1:]:
        try:
            float(cell)
        except ValueError:
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_scores_as_json_and_html():
    dataset = SimpleNamespace(name="<script>alert(1)</script>", synthetic=True)
    document = scores_document(dataset, "<img src=x>", "=1+1", [], {})
    assert EXPORT_NOTICE in json.dumps(document)
    html = scores_html(document)
    assert EXPORT_NOTICE in words(html)
    assert "<script" not in html
    assert "<img" not in html


def test_the_benchmark_report():
    row = {"labeling_function": "guo_los", "sub_task": "guo_los", "model": "m", "head": "lr", "replicate": 0, "k": -1}
    row |= {"score": "auroc", "value": 0.7, "std": 0.1, "lower": 0.5, "mean": 0.7, "upper": 0.9, "variant": ""}
    results = results_table([row | {"n": 100, "n_positive": 12, "undefined": 0, "chosen": "C=1"}])
    empty = pl.DataFrame(schema={"task": pl.String})
    assert EXPORT_NOTICE in words(render_report(BenchmarkResult(results, groups_table(results), empty, [], 0, 0), "x"))


def test_a_figure_of_the_benchmark():
    plot = Plot(title="T", alt="A", series=[Series("a", [0.0, 1.0], [0.5, 0.6])])
    assert EXPORT_NOTICE in words(render(plot, "svg").decode())


def test_an_explanation_in_each_of_its_files(explanation):
    with zipfile.ZipFile(io.BytesIO(zip_files(explanation))) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        assert EXPORT_NOTICE in json.dumps(manifest)
        pictures = [name for name in archive.namelist() if name.endswith(".png")]
        assert {"mask.png", "overlay_seg_grad.png", "overlay_seg_hires_grad.png", "figure.png"} <= set(pictures)
        for name in pictures:
            assert Image.open(io.BytesIO(archive.read(name))).text["Description"] == EXPORT_NOTICE, name
        assert EXPORT_NOTICE in " ".join(archive.read("figure.svg").decode().split())
        assert EXPORT_NOTICE.encode() in archive.read("figure.pdf")


def test_nothing_leaves_a_page_but_through_the_downloads_of_the_frame():
    """Roles and the audit log stand in ``pages.shared.downloads``; a bare download button has neither."""
    own = ROOT / "pages" / "shared" / "downloads.py"
    for path in [ROOT / "app.py", *(ROOT / "pages").rglob("*.py")]:
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
        assert path == own or not any(node.attr == "download_button" for node in calls), path


def test_every_table_that_leaves_a_page_goes_through_a_writer_with_the_notice():
    for path in (ROOT / "pages").rglob("*.py"):
        if path.name != "exports.py":
            assert not {".to_csv(", ".write_csv(", ".to_json(", ".to_html("} & {
                f".{node.attr}(" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)
            }, path
