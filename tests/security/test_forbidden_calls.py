"""Calls that would run code from data, phone home or put data into HTML are not in the tree at all."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [ROOT / "app.py", *(ROOT / "core").rglob("*.py"), *(ROOT / "pages").rglob("*.py")]
SOURCES = sorted(path for path in SOURCES if path.exists())
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "os.system", "os.popen", "pickle.load", "pickle.loads", "joblib.load"}
NEED_SAFE_LOADER = {"yaml.load", "yaml.load_all"}


def dotted(node: ast.AST) -> str:
    """Return a.b.c for names and attributes of names, with ? for any other start; "" for anything else."""
    if isinstance(node, ast.Attribute):
        head = dotted(node.value) or "?"
        return f"{head}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def is_constant_text(node: ast.AST, constants: set[str]) -> bool:
    """Whether an expression is text written in the program: a literal, or a module constant of literals."""
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.Name):
        return node.id in constants
    if isinstance(node, ast.BinOp):
        return is_constant_text(node.left, constants) and is_constant_text(node.right, constants)
    return False


def is_written_in_the_program(value: ast.AST) -> bool:
    """Whether a module-level value is a literal, or a path beside this file."""
    names = {node.id for node in ast.walk(value) if isinstance(node, ast.Name)}
    return isinstance(value, ast.Constant) or names == {"Path", "__file__"}


def problems(source: str) -> list[str]:
    """Name what is forbidden in a source text."""
    tree = ast.parse(source)
    constants = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign) and is_written_in_the_program(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [f"import {name}" for name in names if name.split(".")[0] in FORBIDDEN_MODULES]
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        keywords = {keyword.arg: keyword.value for keyword in node.keywords}
        true = {key for key, value in keywords.items() if isinstance(value, ast.Constant) and value.value is True}
        if name in FORBIDDEN_CALLS:
            found.append(f"call of {name}")
        if name in NEED_SAFE_LOADER:
            found.append(f"{name}: use yaml.safe_load")
        if name == "torch.load" and "weights_only" not in true:
            found.append("torch.load without weights_only=True")
        if name.endswith(("np.load", "numpy.load")) and "allow_pickle" in true:
            found.append("numpy.load with allow_pickle=True")
        trust = keywords.get("trust_remote_code")
        if trust is not None and not (isinstance(trust, ast.Constant) and trust.value is False):
            found.append("trust_remote_code")
        if "shell" in true:
            found.append("a shell call")
        html = name.endswith(".html") and name.split(".")[0] in {"st", "streamlit", "components"}
        if "unsafe_allow_html" in true or html:
            texts = node.args[:1]
            if not texts or not all(is_constant_text(text, constants) for text in texts):
                found.append(f"{name} with HTML that is not a constant")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_forbidden_is_called(path: Path):
    assert problems(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "eval(x)",
        "torch.load(f)",
        "torch.load(f, weights_only=False)",
        "torch.load(f, weights_only=safe)",
        "np.load(f, allow_pickle=True)",
        "AutoModel.from_pretrained(p, trust_remote_code=True)",
        "AutoModel.from_pretrained(p, trust_remote_code=flag)",
        "subprocess.run(c, shell=True)",
        "os.system(c)",
        "yaml.load(t)",
        "st.markdown(text, unsafe_allow_html=True)",
        "st.markdown(f'<b>{name}</b>', unsafe_allow_html=True)",
        "st.html(build(text))",
        "PAGE = read(source)\nst.html(PAGE)",
    ],
)
def test_the_check_itself_finds_each_kind(source):
    assert problems(source)


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(f, weights_only=True)",
        "AutoModel.from_pretrained(p, trust_remote_code=False)",
        "STYLE = '<style>a{}</style>'\nst.markdown(STYLE, unsafe_allow_html=True)",
        "st.markdown('<hr>', unsafe_allow_html=True)",
        "HERE = Path(__file__).parent\nst.html(HERE / 'style.css')",
        "subprocess.run(['ls'])",
        "yaml.safe_load(t)",
        "build().eval()",
    ],
)
def test_the_check_lets_the_safe_forms_pass(source):
    assert problems(source) == []


@pytest.mark.parametrize("path", sorted((ROOT / "pages").glob("[a-z]*.py")), ids=lambda path: path.name)
def test_no_page_draws_before_it_has_the_frame(path: Path):
    """Without it a page could be opened alone: no banner, no sign-in (see pages/shared/frame.py)."""
    first = next(
        node.value
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    )
    assert dotted(first.func) in ("frame.require", "layout.header")
