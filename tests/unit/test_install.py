"""What is pinned fits what is declared, so that the same install works next year."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(name: str) -> dict[str, Version]:
    lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
    found = {canonical(Requirement(line).name): Requirement(line).specifier for line in lines}
    assert len(found) == len(lines)
    for requirement, specifier in found.items():
        assert [s.operator for s in specifier] == ["=="], f"{requirement} is not pinned to one version"
    return {requirement: Version(str(specifier).removeprefix("==")) for requirement, specifier in found.items()}


@pytest.mark.parametrize(
    ("file", "needs"),
    [
        ("constraints.txt", PROJECT["dependencies"] + [need for extra in EXTRAS.values() for need in extra]),
        ("requirements.txt", PROJECT["dependencies"] + EXTRAS["sam3"]),
        ("requirements-cpu.txt", PROJECT["dependencies"]),
    ],
)
def test_everything_declared_is_pinned_to_a_version_that_fits(file: str, needs: list[str]) -> None:
    pinned = pins(file)
    for need in map(Requirement, needs):
        assert canonical(need.name) in pinned, f"{need.name} is missing in {file}: run make lock"
        assert pinned[canonical(need.name)] in need.specifier, f"{need} is not met by {file}: run make lock"


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-cpu.txt"])
def test_all_files_pin_the_same_versions(file: str) -> None:
    everything = pins("constraints.txt")
    assert {name: everything.get(name) for name in pins(file)} == pins(file)


def test_a_host_without_a_gpu_installs_no_model_s_package() -> None:
    assert not {"torch", "sam3", "transformers"} & pins("requirements-cpu.txt").keys()


def test_the_base_install_is_light() -> None:
    heavy = {"torch", "torchvision", "sam3", "transformers", "ray", "triton", "scipy", "scikit-image"}
    assert not heavy & {canonical(Requirement(need).name) for need in PROJECT["dependencies"]}


def test_the_readme_starts_a_space_with_the_pinned_gradio() -> None:
    front = (ROOT / "README.md").read_text(encoding="utf-8").split("---")[1]
    fields = dict(line.split(": ", 1) for line in front.strip().splitlines())
    assert fields["sdk"] == "gradio"
    assert Version(fields["sdk_version"]) == pins("requirements.txt")["gradio"]
    assert (ROOT / fields["app_file"]).is_file()
