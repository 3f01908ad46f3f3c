"""import-linter's contracts hold, and each of them is broken by what it is there to forbid."""

import pytest

from .planting import Tree
from .sources import ROOT, project

FLOORS = "services and deploy stand on shared, and not on each other"
SERVICES = "a service never imports another"
ROOMS = "the rooms of a service"
SHARED = "the kit stands on the contracts"
KIT = "the rooms of the kit"
STAND_ON = "rules and contracts stand on no library that does input or output"
THEMSELVES = "rules, use cases and contracts do no input or output themselves"

_ORDERS = "services/order_service"

#: a sentence for each violation: the file it is planted in, what is added there, the contracts that it breaks
PLANTS = {
    "a module among the services": ("services/helpers.py", "", {SERVICES}),
    "a service nobody declared": ("services/pricing/__init__.py", "", {SERVICES}),
    "a room nobody declared": (f"{_ORDERS}/helpers.py", "", {ROOMS}),
    "a room of that kind which is a package": (f"{_ORDERS}/helpers/__init__.py", "", {ROOMS}),
    "a part of the kit nobody declared": ("shared/kit/utils.py", "", {KIT}),
    "a third part of shared": ("shared/common/__init__.py", "", {SHARED}),
    "a service importing another": (f"{_ORDERS}/app.py", "import services.config_service", {SERVICES}),
    "a service importing another's rules": (
        f"{_ORDERS}/storage/accounts.py",
        "from services.config_service.domain import accounts",
        {SERVICES},
    ),
    "the kit importing a service": ("shared/kit/paging.py", "import services.order_service.domain", {FLOORS, SERVICES}),
    "deploy importing a service": ("deploy/local/up.py", "from services.order_service import app", {FLOORS}),
    "a service importing deploy": (f"{_ORDERS}/app.py", "import deploy.local", {FLOORS}),
    "the contracts importing the kit": ("shared/contracts/base.py", "from shared.kit import refusals", {SHARED}),
    "the API importing the consumers": (f"{_ORDERS}/api/orders.py", "from .. import consumers", {ROOMS}),
    "the consumers importing the API": (f"{_ORDERS}/consumers.py", "from . import api", {ROOMS}),
    "a route reading the settings": (f"{_ORDERS}/api/orders.py", "from .. import settings", {ROOMS}),
    "a use case importing a consumer": (f"{_ORDERS}/use_cases/orders.py", "from .. import consumers", {ROOMS}),
    "storage importing a use case": (f"{_ORDERS}/storage/orders.py", "from .. import use_cases", {ROOMS}),
    "a rule importing storage": (f"{_ORDERS}/domain/orders.py", "from .. import storage", {ROOMS, STAND_ON}),
    "a low part of the kit importing a high one": ("shared/kit/kafka.py", "from . import bus", {KIT}),
    "a rule importing SQLAlchemy": (f"{_ORDERS}/domain/orders.py", "import sqlalchemy.sql", {STAND_ON, THEMSELVES}),
    "a rule reaching SQLAlchemy by way of the kit": (
        f"{_ORDERS}/domain/orders.py",
        "from shared.kit.unit_of_work import UnitOfWork",
        {STAND_ON},
    ),
    "a use case importing os": (f"{_ORDERS}/use_cases/orders.py", "from os import environ", {THEMSELVES}),
    "a use case importing SQLAlchemy within a function": (
        f"{_ORDERS}/use_cases/orders.py",
        "def late() -> None:\n    import sqlalchemy",
        {THEMSELVES},
    ),
    "a contract importing FastStream": ("shared/contracts/base.py", "import faststream", {STAND_ON, THEMSELVES}),
}

_CONTRACTS = project()["tool"]["importlinter"]["contracts"]


def test_the_sources_keep_every_contract(tree: Tree) -> None:
    assert tree.verdicts() == {contract["name"]: "KEPT" for contract in _CONTRACTS}


@pytest.mark.parametrize("violation", PLANTS)
def test_a_violation_is_found(tree: Tree, violation: str) -> None:
    name, text, broken = PLANTS[violation]
    with tree.planted(name, text):
        verdicts = tree.verdicts()
    assert {contract for contract, verdict in verdicts.items() if verdict == "BROKEN"} == broken


def test_every_contract_is_broken_by_some_violation() -> None:
    assert set().union(*(broken for _, _, broken in PLANTS.values())) == {each["name"] for each in _CONTRACTS}


def test_no_contract_makes_an_exception() -> None:
    exceptions = {"ignore_imports", "exhaustive_ignores", "unmatched_ignore_imports_alerting"}
    assert not [each["name"] for each in _CONTRACTS if exceptions & each.keys()]


def test_every_table_of_layers_leaves_nothing_out() -> None:
    assert [each["name"] for each in _CONTRACTS if "containers" in each] == [SERVICES, ROOMS, SHARED, KIT]
    assert all(each["exhaustive"] for each in _CONTRACTS if "containers" in each)


def test_no_other_file_takes_the_place_of_the_settings_in_pyproject() -> None:
    rivals = (
        "setup.cfg .importlinter ruff.toml .ruff.toml mypy.ini .mypy.ini pytest.ini .pytest.ini pytest.toml tox.ini"
    )
    assert not [name for name in rivals.split() if (ROOT / name).exists()]
