"""The rule of the project, against a reference of three lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.webhook_dispatcher.domain import ConfigurationNotKnownError, Gate, PlannedState, Reason, decide

VERSIONS = st.integers(1, 6)


@given(st.none() | st.builds(Gate, VERSIONS, st.booleans()), st.none() | VERSIONS)
def test_an_event_waits_only_under_the_version_that_is_configured_now(gate: Gate | None, named: int | None) -> None:
    if gate and gate.configured and named is not None and named > gate.version:
        with pytest.raises(ConfigurationNotKnownError):
            decide(gate, named)
        return
    decision = decide(gate, named)
    goes_out = gate is not None and gate.configured and named in {None, gate.version}

    assert (decision.state is PlannedState.WAITING) == goes_out
    assert (decision.reason is None) == goes_out
    if goes_out:
        assert gate is not None
        assert decision.version == gate.version


def test_an_event_of_an_earlier_configuration_is_stopped_for_that() -> None:
    assert decide(Gate(2, configured=True), 1).reason is Reason.OLDER_CONFIGURATION


def test_what_is_quarantined_may_still_be_planned_for_the_claim_asks_again() -> None:
    assert decide(Gate(2, configured=True, quarantined=True), None).state is PlannedState.WAITING
