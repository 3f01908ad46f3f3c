"""The manifests as a test reads them: files, and what stands in each, gathered as a kustomization names them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.architecture.sources import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
NAME, COMPONENT, PART_OF = (f"app.kubernetes.io/{each}" for each in ("name", "component", "part-of"))
Resource = dict[str, Any]


@cache
def read(path: Path) -> list[Resource]:
    """The documents of a file; not to be changed."""
    return list(yaml.safe_load_all(path.read_text()))


def kustomization(folder: Path) -> dict[str, Any]:
    (found,) = read(folder / "kustomization.yaml")
    return found


def kustomizations() -> list[Path]:
    return sorted(path.parent for path in FOLDER.rglob("kustomization.yaml"))


def resources(folder: Path) -> Iterator[Resource]:
    """Everything that the kustomization of this folder names, before it is patched."""
    for name in kustomization(folder)["resources"]:
        there = (folder / name).resolve()
        if there.is_dir():
            yield from resources(there)
        else:
            yield from read(there)


def of_kind(folder: str, *kinds: str) -> dict[str, Resource]:
    return {each["metadata"]["name"]: each for each in resources(FOLDER / folder) if each["kind"] in kinds}


@dataclass(frozen=True)
class Pod:
    """What a deployment or a job makes pods of."""

    name: str
    labels: dict[str, str]
    spec: dict[str, Any]

    @property
    def container(self) -> dict[str, Any]:
        (only,) = self.spec["containers"]
        found: dict[str, Any] = only
        return found

    @property
    def role(self) -> str:
        return self.labels[COMPONENT]

    def is_selected_by(self, selector: dict[str, Any]) -> bool:
        wanted = selector.get("matchLabels", {})
        return bool(wanted.items() <= self.labels.items())


def pods(folder: str) -> list[Pod]:
    return [
        Pod(name, each["spec"]["template"]["metadata"]["labels"], each["spec"]["template"]["spec"])
        for name, each in of_kind(folder, "Deployment", "Job").items()
    ]
