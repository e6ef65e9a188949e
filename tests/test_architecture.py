"""House rules of ARCHITECTURE.md: arrows point one way, no streamlit in core, what is drawn is described."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CORE = sorted((ROOT / "core").rglob("*.py"))
PAGES = sorted((ROOT / "pages").rglob("*.py"))
DRAWN = {"st.dataframe", "st.image", "st.plotly_chart"}
ALLOWED = {  # room -> the rooms of core that it may import
    "ehr": {"ehr"},
    "imaging": {"imaging"},
    "embedding": {"embedding", "ehr"},
    "risk": {"risk", "embedding", "ehr"},
    "commands": {"ehr", "imaging", "embedding", "risk", "commands"},
}
COMMON = {
    "access",
    "exposure",
    "idle",
    "doctor",
    "safety",
    "errors",
    "progress",
    "wording",
    "settings",
    "torchvision_ops",
    "audit",
    "files",
    "hashing",
    "jobs",
    "privacy",
    "versions",
}


def imported_modules(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(ROOT)))
def test_core_imports_neither_streamlit_nor_pages(path: Path):
    roots = {name.split(".")[0] for name in imported_modules(path)}
    assert not roots & {"streamlit", "pages", "app"}


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows_inside_core_point_one_way(path: Path):
    parts = path.relative_to(ROOT / "core").parts
    room = parts[0] if len(parts) > 1 else None
    if room is None:
        if parts[0] in ("cli.py", "doctor.py", "__main__.py", "__init__.py"):
            return
        allowed = COMMON
    else:
        allowed = ALLOWED[room] | COMMON
    for name in imported_modules(path):
        segments = name.split(".")
        if segments[0] == "core" and len(segments) > 1:
            assert segments[1] in allowed, f"{path.name} of {room} imports {name}"


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(ROOT)))
def test_torchvision_operators_come_before_the_libraries_that_need_them(path: Path):
    names = imported_modules(path)
    heavy = {"transformers", "sentence_transformers", "timm", "segmentation_models_pytorch", "torchvision", "peft"}
    if {name.split(".")[0] for name in names} & heavy and path.name != "torchvision_ops.py":
        assert "core.torchvision_ops" in names, f"{path}: import core.torchvision_ops first"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_table_picture_and_chart_is_described(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in DRAWN:
            assert "alt" in {keyword.arg for keyword in node.keywords}, f"line {node.lineno}: no alt text"
