"""Draw a card's items, whatever their shape: text, lists, pairs, tables, metrics with intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from pages.shared import layout
from pages.shared.errors import plain

_INTERVAL = {"value", "lower", "upper"}
_UPPER = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "ece": "ECE",
    "ici": "ICI",
    "sd": "SD",
    "iou": "IoU",
    "dice": "Dice",
    "mean_dice": "Mean Dice",
    "c": "C",
    "tuning_auroc": "Tuning AUROC",
    "validation_dice": "Validation Dice",
    "n_phantoms": "Drawn phantoms",
    "n": "n",
}
_CODE = {"command", "evaluate_command", "template", "weights_sha256"}


def item(title: str, value: Any, key: str = "") -> None:
    """Draw one item of a card under its title."""
    with st.container(border=True, gap="xsmall"):
        layout.section(title)
        _value(value, key)


def words(pairs: Sequence[tuple[str, str]]) -> None:
    """Draw the items that are a sentence or two in one card; an empty one says so."""
    with st.container(border=True, gap="small", key="tight-card-words"):
        for title, text in pairs:
            st.markdown(f":gray[:small[{title}]]  \n{plain(text) if text else ':gray[The card does not say.]'}")


def name_of(key: str) -> str:
    """Write a card's key as words: ``held_out_positive`` becomes "Held out positive"."""
    return _UPPER.get(key) or key.replace("_", " ").capitalize()


def _value(value: Any, key: str = "") -> None:
    if key in _CODE:
        st.code(str(value), language=None, wrap_lines=True)
    elif isinstance(value, Mapping):
        _mapping(value)
    elif isinstance(value, list | tuple):
        if value and all(isinstance(entry, Mapping) for entry in value):
            st.dataframe(_table(list(value)), hide_index=True, placeholder="", alt="Table of the card")
        else:
            st.markdown("\n".join(f"- {plain(_scalar(entry))}" for entry in value))
    else:
        st.markdown(plain(_scalar(value)))


def _mapping(value: Mapping[str, Any]) -> None:
    metrics = {name: entry for name, entry in value.items() if isinstance(entry, Mapping) and set(entry) >= _INTERVAL}
    if metrics:
        rows = [
            {"Metric": name_of(name), "Value": entry["value"], "95 % from": entry["lower"], "to": entry["upper"]}
            | {name_of(more): figure for more, figure in entry.items() if more not in _INTERVAL}
            for name, entry in metrics.items()
        ]
        number = st.column_config.NumberColumn(format="%.3f")
        numbers = {name: number for row in rows for name, figure in row.items() if isinstance(figure, float)}
        st.dataframe(
            pd.DataFrame(rows),
            hide_index=True,
            placeholder="",
            column_config=numbers,
            alt="Metrics with intervals",
        )
    scalars = [(name, entry) for name, entry in value.items() if not isinstance(entry, Mapping | list | tuple)]
    pairs = [(name_of(name), _scalar(entry)) for name, entry in scalars if name not in _CODE]
    short, long = [p for p in pairs if len(p[1]) <= 40], [p for p in pairs if len(p[1]) > 40]
    if short:
        layout.facts(short, key=f"card-{abs(hash(tuple(short)))}")
    for name, text in long:
        st.markdown(f":gray[{name}]  \n{plain(text)}")
    for name, entry in scalars:
        if name in _CODE:
            st.markdown(f":gray[{name_of(name)}]")
            _value(entry, name)
    for name, entry in value.items():
        if isinstance(entry, Mapping | list | tuple) and name not in metrics:
            st.markdown(f"**{plain(name_of(name))}**")
            _value(entry, name)


def _table(rows: list[Mapping[str, Any]]) -> pd.DataFrame:
    """A table of mappings; an interval becomes text, so that a column has one type."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pd.DataFrame({name_of(name): [_cell(row.get(name)) for row in rows] for name in names})


def _cell(value: Any) -> Any:
    if isinstance(value, Mapping) and set(value) >= _INTERVAL:
        if value["value"] is None:
            return ""
        return f"{value['value']:.3f} ({value['lower']:.3f} to {value['upper']:.3f})"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
