"""The seeded defects still fit the sources; whether each is caught is a command of its own, and takes an hour."""

import pytest

from deploy.local.faults.checks import CHECKS
from deploy.local.faults.mutants import Mutant, applies, mutants


def test_there_are_at_least_ten_mutants_and_each_says_what_catches_it() -> None:
    assert len(mutants()) >= 10
    assert CHECKS
    assert all(mutant.sentence.endswith(".") for mutant in mutants())


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_a_mutant_applies_to_the_sources_as_they_are(mutant: Mutant) -> None:
    assert applies(mutant), "the sources have changed where the defect was: make the patch anew"
