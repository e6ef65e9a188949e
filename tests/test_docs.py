"""What the documents say, checked against the code: links, paths, commands, settings, benchmarks, container files."""

import contextlib
import io
import pkgutil
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml

import core
from core.cli import build_parser
from core.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES += [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "benchmarks" / "README.md", ROOT / "assets/models/README.md"]
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
SCREENSHOTS = "docs/screenshots/"
"""Made by tests/e2e/test_journey.py where CHARTLIGHT_SCREENSHOTS=1."""
each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_the_documents_are_there():
    assert all(path.is_file() for path in PAGES)
    assert len(PAGES) > 15


@each_page
def test_every_relative_link_leads_somewhere(path: Path):
    targets = re.findall(r"\]\(([^)\s]+)\)", text_of(path))
    own = [target.split("#")[0] for target in targets if not re.match(r"[a-z]+:|#", target)]
    missing = [target for target in own if not (path.parent / target).exists()]
    made = text_of(ROOT / "tests" / "e2e" / "test_journey.py")
    screenshots = [target for target in missing if target.startswith(SCREENSHOTS) and f'"{Path(target).stem}"' in made]
    assert set(missing) - set(screenshots) == set()


@each_page
def test_every_setting_named_in_a_document_exists(path: Path):
    known = {f"CHARTLIGHT_{name.upper()}" for name in Settings.model_fields}
    of_tests = {
        "CHARTLIGHT_SCREENSHOTS",
        "CHARTLIGHT_CHROMIUM",
        "CHARTLIGHT_TEST_DATA",
        "CHARTLIGHT_AUDIT",
        "CHARTLIGHT_",
    }
    assert set(re.findall(r"CHARTLIGHT_[A-Z_]*", text_of(path))) - known - of_tests == set()


def commands(text: str) -> list[str]:
    """Return the command lines of a document that are written out: with arguments that can be read."""
    joined = text.replace("\\\n", " ")
    fenced = re.findall(r"^[ \t$]*((?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?python -m core .*)$", joined, re.MULTILINE)
    inline = re.findall(r"`((?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?python -m core [^`]*)`", " ".join(joined.split()))
    return [line for line in {*fenced, *inline} if "`" not in line]


def parses(line: str) -> str:
    """Return what the real parser says against a command line; nothing where it takes it."""
    if "..." in line or re.search(r"COMMAND|-m core [\w-]+$", line.strip()):  # names a command, not how it is called
        line = re.split(r"\.\.\.|COMMAND", line)[0] + " --help"
    line = re.sub(r"\|\w+", "", re.sub(r"[\[\]]", "", line))  # optional parts are given, the first of alternatives
    words = shlex.split(line, comments=True)
    arguments = words[words.index("core") + 1 :]
    for end in ("|", ">", "&&", ";"):
        arguments = arguments[: arguments.index(end)] if end in arguments else arguments
    numbers = {"N": "3", "ID": "3", "ISO_TIME": "2014-11-14T23:59", "INDEX": "1"}
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            build_parser().parse_args([numbers.get(word, word) for word in arguments])
        except SystemExit as end:
            return said.getvalue() if end.code else ""
    return ""


@each_page
def test_every_command_line_in_a_document_is_one(path: Path):
    assert {line: said for line in commands(text_of(path)) if (said := parses(line))} == {}


def test_the_check_of_commands_finds_wrong_ones():
    assert commands("Run `python -m core\ncheck X`.\n\n    python -m core check Y   # why\n") != []
    assert parses("python -m core serialize D --subject ID --at ISO_TIME [--profile paper|corrected]") == ""
    assert "unrecognized" in parses("python -m core check D --no-such-option")
    assert "invalid choice" in parses("python -m core chekc D")


def test_every_module_named_in_the_architecture_exists():
    room, missing = ROOT / "core", []
    for line in ARCHITECTURE.splitlines():
        if line.startswith("### "):
            room = ROOT / line.removeprefix("### ").replace(".", "/")
        for name in re.findall(r"`([\w/<>]+\.py|[\w/]+/)`", line):
            inside = (ROOT / name).exists() or (ROOT / "core" / name).exists() or any(room.rglob(Path(name).name))
            if "<" not in name and not inside:
                missing.append(name)
        for name in re.findall(r"`(core(?:\.\w+)+)`", line):
            place = ROOT / name.replace(".", "/")
            if not (place.is_dir() or place.with_suffix(".py").is_file()):
                missing.append(name)
    assert missing == []


def test_the_architecture_names_every_room_and_module_of_core():
    said = set(re.findall(r"(\w+)(?:\.py|/)?`|(?:`|### )core\.(?:\w+\.)*(\w+)", ARCHITECTURE))
    words = {word for pair in said for word in pair}
    modules = [module.name for module in pkgutil.walk_packages(core.__path__, "core.")]
    hidden = ("core.commands.", "core.ehr.demo.", "core.imaging.phantoms.", "core.__main__", "core.imaging.training.")
    unsaid = [name for name in modules if not name.startswith(hidden) and name.split(".")[-1] not in words]
    assert unsaid == []


def test_every_benchmark_that_a_document_names_exists():
    named = {
        name for path in PAGES for name in re.findall(r"(?:python -m )?benchmarks[./](\w+)(?:\.py)?", text_of(path))
    }
    scripts = {path.stem for path in (ROOT / "benchmarks").glob("*.py")} | {"README", "results"}
    assert named - scripts == set()


def test_the_benchmark_results_come_from_scripts_that_say_their_claim():
    sources = "".join(path.read_text() for path in (ROOT / "benchmarks").glob("*.py"))
    claims = {path.stem for path in (ROOT / "benchmarks" / "results").glob("*.json")}
    assert {
        claim for claim in claims if f'"{claim}' not in sources and claim.rsplit("_", 2)[0] not in sources
    } == set()


@pytest.mark.parametrize("name", ["run", "test", "check", "bench"])
def test_make_has_the_targets_that_the_documents_name(name: str):
    assert re.search(rf"^{name}:", text_of(ROOT / "Makefile"), re.MULTILINE)


def test_make_check_and_pre_commit_are_the_same_gate():
    makefile = text_of(ROOT / "Makefile").partition("\ncheck:")[2].partition("\n\n")[0]
    hooks = yaml.safe_load(text_of(ROOT / ".pre-commit-config.yaml"))["repos"][0]["hooks"]
    entries = " ".join(hook["entry"] for hook in hooks)
    for tool in ("ruff format", "ruff check", "mypy", "pytest"):
        assert tool in makefile
        assert tool in entries
    pinned = text_of(ROOT / "requirements-dev.txt")
    for tool in {hook["entry"].split()[0].rpartition("/")[2] for hook in hooks} - {"python"}:
        assert re.search(rf"^{tool}==", pinned, re.MULTILINE), f"{tool} is not in requirements-dev.txt"
    for file in re.findall(r"tests/\S+\.py", entries):
        assert (ROOT / file).is_file()


def test_lint_covers_what_the_gate_promises():
    rules = tomllib.loads(text_of(ROOT / "pyproject.toml"))["tool"]["ruff"]["lint"]["select"]
    assert {"I", "UP", "B", "SIM", "N", "D"} <= set(rules)


def instructions() -> list[tuple[str, str]]:
    joined = text_of(ROOT / "Dockerfile").replace("\\\n", " ")
    lines = [line.split(None, 1) for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    return [(word.upper(), rest) for word, rest in lines]


def test_the_container_file_is_sound():
    """What hadolint would look for: a fixed base, no root, no cache left, absolute folders, a health check."""
    found = instructions()
    bases = [rest for word, rest in found if word == "FROM"]
    assert all(":" in base.split()[0] and ":latest" not in base for base in bases)
    users = [rest.strip() for word, rest in found if word == "USER"]
    assert users
    assert users[-1] not in ("root", "0")
    assert [word for word, _ in found].index("USER") < [word for word, _ in found].index("ENTRYPOINT")
    assert sum(word == "HEALTHCHECK" for word, _ in found) == 1
    assert all(rest.startswith("/") for word, rest in found if word == "WORKDIR")
    assert not any(word == "ADD" or "sudo " in rest or "curl " in rest for word, rest in found)
    installs = [rest for word, rest in found if word == "RUN" and "pip install" in rest]
    assert installs
    assert all("--no-cache-dir" in rest for rest in installs)
    for word, rest in found:
        if word in ("ENTRYPOINT", "CMD"):
            assert rest.startswith("["), "a shell would not pass the signal to stop on"
        if word == "COPY" and "--from" not in rest:
            assert all((ROOT / source).exists() for source in rest.split()[:-1])


def test_no_secret_and_no_data_goes_into_the_image():
    first, *rules = [line for line in text_of(ROOT / ".dockerignore").splitlines() if not line.startswith("#")]
    assert first == "*", "what is not named would go in: datasets, weights and results beside the code"
    let_in = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert all((ROOT / name).exists() for name in let_in)
    assert {"app.py", "assets", "core", "pages", "pyproject.toml", ".streamlit/config.toml"} <= let_in
    assert not {".git", ".env", ".chartlight", ".streamlit", ".streamlit/secrets.toml"} & let_in
    kept_out_of_git = text_of(ROOT / ".gitignore").split()
    assert any(line.strip("/") == ".streamlit/secrets.toml" for line in kept_out_of_git)


def test_compose_serves_this_machine_only_without_rights():
    service = yaml.safe_load(text_of(ROOT / "compose.yaml"))["services"]["chartlight"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


def test_make_clean_leaves_the_audit_log_and_the_key_of_the_pseudonyms():
    recipe = re.search(r"^clean:.*\n((?:\t.*\n)+)", text_of(ROOT / "Makefile"), re.MULTILINE)
    assert recipe
    assert recipe[1].split() == ["rm", "-rf", "$(VENV)"]
