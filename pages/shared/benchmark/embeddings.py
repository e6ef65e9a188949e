"""Tab Embedding map: the cohort on a plane, as context only; a selection becomes a list of patients."""

import numpy as np
import pandas as pd
import streamlit as st

from core.figures import Plot, Series
from core.risk.embedding_map import has_umap
from core.risk.subgroups import ATTRIBUTES
from core.wording import counted
from pages.shared import charts, empty, navigation, resources, selection
from pages.shared.benchmark import draw, looks, vectors
from pages.shared.benchmark.source import Run

METHODS = {"pca": "PCA", "umap": "UMAP"}
UNKNOWN = "unknown"
_LISTED = 200


def show(run: Run) -> None:
    """Draw the choice of embeddings, colour and method, the map and the patients of a selection."""
    found = vectors.sources()
    if not found:
        empty.show(
            "There are no embeddings to draw",
            "Embed a cohort and name the folder in `CHARTLIGHT_FEATURES`:",
            icon="scatter_plot",
            command="python -m core embed DATASET --out FEATURES",
            key="map",
        )
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="tight-map"):
        name = st.selectbox("Embeddings", list(found), key="map-source", width=280, persist_state="session")
        by = st.selectbox(
            "Colour",
            [*looks.TASK_NAMES, *ATTRIBUTES],
            format_func=lambda key: looks.TASK_NAMES.get(key) or key.capitalize(),
            key="map-colour",
            width=280,
            persist_state="session",
        )
        methods = list(METHODS) if has_umap() else ["pca"]
        method = (
            st.segmented_control(
                "Method",
                methods,
                default="pca",
                required=True,
                format_func=METHODS.get,
                key="map-method",
                help=None if has_umap() else "UMAP is offered where umap-learn is installed.",
                persist_state="session",
            )
            or "pca"
        )
        drag = st.segmented_control(
            "Drag to",
            ("lasso", "select", "zoom"),
            default="lasso",
            required=True,
            key="map-drag",
            format_func={"lasso": "Lasso", "select": "Box", "zoom": "Zoom"}.get,
            persist_state="session",
        )
    path = found[name]
    source = (str(path), path.stat().st_mtime_ns, method)
    data = vectors.cloud(*source)
    groups = vectors.colours_of(*source, by)
    figure = plot(data, vectors.place(*source).points, groups, looks.TASK_NAMES.get(by) or by.capitalize(), method)
    with st.container(key="stacks-map"):
        left, right = st.columns([3, 2], gap="medium")
    with left:
        chart = draw.plotly(figure, 520)
        chart.update_layout(dragmode=drag or "lasso")
        chart.update_xaxes(showticklabels=False, ticks="", showgrid=False)
        chart.update_yaxes(showticklabels=False, showgrid=False)
        chart.update_traces(marker={"size": 6, "line": {"width": 0}, "opacity": 0.75})
        picked = charts.show(
            chart, key=f"map-{name}-{by}-{method}", alt=figure.alt, on_select="rerun",
            selection_mode=("points", "box", "lasso"),
        )  # fmt: skip
        draw.exports(figure, "map")
        explained = vectors.place(*source).explained
        drawn = "" if data.total == len(data.subject) else f", a sample of {data.total:,}"
        st.caption(
            f"{_records(data.subject)}{drawn}. Context only: "
            + (f"the two axes hold {100 * explained:.0f} % of the variance. " if explained is not None else "")
            + "Distances on a plane mislead; neighbours are found in the full space (Risk, Similar patients)."
        )
    with right:
        _patients(data, groups, _rows(picked))


def plot(data: vectors.Cloud, points: np.ndarray, groups: list[str], title: str, method: str) -> Plot:
    """The map: unknown in grey and below the rest."""
    values = sorted(set(groups) - {UNKNOWN}, key=lambda text: (text != "had it", _first_number(text), text))
    colours = {value: charts.CATEGORICAL[i % 6] for i, value in enumerate(values)} | {UNKNOWN: charts.SLATE}
    symbols = {value: draw.SYMBOLS[i % 6] for i, value in enumerate(values)} | {UNKNOWN: "circle"}
    if "had it" in values:
        colours |= {"had it": charts.VERMILLION, "did not": charts.BLUE}
        symbols |= {"had it": "diamond", "did not": "circle"}
    member = np.array(groups)
    shown = [value for value in (UNKNOWN, *reversed(values)) if (member == value).any()]
    series = [
        Series(
            value,
            points[member == value, 0].tolist(),
            points[member == value, 1].tolist(),
            text=[f"{title}: {value} · record {row}" for row in np.flatnonzero(member == value)],
            colour=colours[value],
            symbol=symbols[value],
        )
        for value in shown
    ]
    counts = ", ".join(f"{int((member == value).sum()):,} {value}" for value in shown)
    return Plot(
        f"Embedding map ({METHODS[method]}) by {title}",
        f"{counted(len(groups), 'record')} on a plane by {METHODS[method]}, coloured by {title}: {counts}.",
        series,
        x_title="First axis",
        y_title="Second axis",
        note="Context only: distances on a plane mislead.",
    )


def _rows(picked: object) -> list[int]:
    """Row numbers of the selected points, from what hovering says of them."""
    points = picked.selection.points if picked else []
    texts = [point.get("customdata") for point in points]
    texts = [text[0] if isinstance(text, list) else text for text in texts]
    return sorted({int(text.rpartition(" ")[2]) for text in texts if text})


def _patients(data: vectors.Cloud, groups: list[str], rows: list[int]) -> None:
    """Draw the patients of a selection; a chosen one opens in Patients."""
    if not rows:
        empty.show(
            "No records selected",
            "Draw around points of the map, or click one, to list their patients.",
            icon="lasso_select",
            key="map-none",
        )
        return
    more = f", the first {_LISTED} listed" if len(rows) > _LISTED else ""
    st.markdown(f"**{_records(data.subject[rows])}**{more}")
    rows = rows[:_LISTED]
    opened = resources.dataset(data.dataset) if data.dataset else None
    table = pd.DataFrame(
        {
            "Patient": [selection.alias(int(data.subject[row])) for row in rows],
            "Time": [
                selection.clock_of(opened, int(data.subject[row])).show(vectors.moment(data.time[row]))
                if opened
                else ""
                for row in rows
            ],
            "Value": [groups[row] for row in rows],
        }
    )
    chosen = st.dataframe(
        table,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key=f"map-list-{hash(tuple(rows))}",
        height=460,
        alt=f"{len(rows)} selected records with patient, time and value",
    ).selection.rows
    if data.dataset is None:
        st.caption("The dataset of these patients is not offered here, so that they cannot be opened.")
    elif chosen:
        row = rows[chosen[0]]
        selection.open_case(data.dataset, int(data.subject[row]), vectors.moment(data.time[row]))
        navigation.go("pages/patients.py")
    else:
        st.caption("Select a row to open the patient in Patients at that time.")


def _first_number(text: str) -> int:
    digits = text.split()[0].replace(",", "")
    return int(digits) if digits.isdigit() else -1


def _records(subjects: np.ndarray) -> str:
    return f"{counted(len(subjects), 'record')} of {counted(len(np.unique(subjects)), 'patient')}"
