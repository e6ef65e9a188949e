"""What the app stands on: permissive licences throughout, versions pinned, and no known vulnerability."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
FILES = (
    "requirements.txt",
    "requirements-dev.txt",
    "requirements-ray.txt",
    "requirements-train.txt",
    "requirements-umap.txt",
)
PERMISSIVE = re.compile(
    r"\b(MIT|BSD|Apache|ISC|0BSD|PSF|Python Software Foundation|Zlib|CC0|HPND|BSL|Boost|Unlicense|CNRI)\b"
)
COPYLEFT = re.compile(r"\b(A?GPL|GNU (Affero )?General Public|SSPL|EUPL|OSL|CC-BY-(NC|SA))", re.IGNORECASE)
LESSER = re.compile(r"\bLGPL|Lesser General Public|MPL|Mozilla Public", re.IGNORECASE)
EXCEPTIONS = {
    "certifi": "MPL-2.0 over a list of certificates, used unchanged",
    "tqdm": "MPL-2.0 AND MIT, used unchanged; MPL is per file",
    "kiwisolver": "its licence text is the modified BSD",
}


def requirements(name: str) -> list[Requirement]:
    lines = (line.split("#")[0].strip() for line in (ROOT / name).read_text().splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-r")]


def installed(roots: list[Requirement]) -> dict[str, metadata.Distribution]:
    """Return all that the requirements bring with them on this machine."""
    found: dict[str, metadata.Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    todo = list(roots)
    while todo:
        requirement = todo.pop()
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if (name, frozenset(requirement.extras)) in seen:
            continue
        seen.add((name, frozenset(requirement.extras)))
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            assert requirement not in roots, f"{name} is not installed"
            continue
        for line in found[name].requires or []:
            below = Requirement(line)
            extras = {"", *requirement.extras}
            if below.marker is None or any(below.marker.evaluate({"extra": extra}) for extra in extras):
                todo.append(below)
    return found


RUNTIME = installed(requirements("requirements.txt"))


def licence(package: metadata.Distribution) -> str:
    """Return what a package says of its licence: the SPDX expression, else classifiers and the field's first words."""
    said = package.metadata
    if said.get("License-Expression"):
        return said["License-Expression"]
    classifiers = [c for c in said.get_all("Classifier") or [] if c.startswith("License")]
    return " ".join([*classifiers, (said.get("License") or "")[:300]]).strip()


def test_the_walk_finds_what_is_far_down():
    assert {"streamlit", "torch", "starlette", "certifi", "numpy"} <= set(RUNTIME)
    assert len(RUNTIME) > 80


@pytest.mark.parametrize("name", sorted(RUNTIME))
def test_every_runtime_package_is_permissive(name: str):
    said = licence(RUNTIME[name])
    assert not COPYLEFT.search(said.replace("LGPL", "")), f"{name}: {said}"
    if LESSER.search(said):
        assert name in EXCEPTIONS, f"{name}: {said}"
    assert PERMISSIVE.search(said) or name in EXCEPTIONS, f"{name}: {said or 'no licence stated'}"


@pytest.mark.parametrize("file", FILES)
def test_every_requirement_is_pinned(file: str):
    for requirement in requirements(file):
        assert re.fullmatch(r"==[\w.]+", str(requirement.specifier)), requirement
        assert requirement.url is None, "from the index, not from an address"


def test_what_is_installed_is_what_is_pinned():
    for requirement in requirements("requirements.txt"):
        version = metadata.version(requirement.name).split("+")[0]
        assert requirement.specifier.contains(version), f"{requirement} and {version} is installed"


def test_the_successor_of_albumentations_is_not_here():
    """It is AGPL; the MIT line ends at 2.0.8."""
    assert "albumentationsx" not in {dist.metadata["Name"].lower() for dist in metadata.distributions()}
    assert metadata.version("albumentations") == "2.0.8"


@pytest.mark.slow
def test_no_known_vulnerability(tmp_path: Path):
    """Asks the advisory database, so it runs only where it is wanted: in CI, or with CHARTLIGHT_AUDIT=1."""
    if not (os.environ.get("CI") or os.environ.get("CHARTLIGHT_AUDIT")):
        pytest.skip("nothing calls out by itself; CI=1 or CHARTLIGHT_AUDIT=1 asks the advisory database")
    beside = Path(sys.executable).with_name("pip-audit")
    program = str(beside) if beside.exists() else shutil.which("pip-audit")
    if program is None:
        pytest.skip("pip-audit is not installed")
    pins = tmp_path / "installed.txt"
    pins.write_text("".join(f"{name}=={package.version.split('+')[0]}\n" for name, package in RUNTIME.items()))
    command = [program, "--requirement", str(pins), "--no-deps", "--disable-pip", "--timeout", "5", "--format", "json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
        packages = json.loads(done.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        pytest.skip("the advisory database did not answer within 90 seconds")
    except ValueError:
        pytest.skip(f"pip-audit had no answer: {(done.stderr.strip().splitlines() or ['?'])[-1][:200]}")
    audited = [package for package in packages if "skip_reason" not in package]
    if not audited:  # an index without advisories answers too, and pip-audit then finds nothing wrong
        pytest.skip(f"the index has no advisories: {packages[0]['skip_reason'][:120]}")
    found = {package["name"]: [flaw["id"] for flaw in package["vulns"]] for package in audited if package["vulns"]}
    assert found == {}
    assert len(audited) == len(packages), [package["name"] for package in packages if package not in audited]
