"""Refusals are facts that are said the same way on every edge."""

import pytest

from shared.kit.refusals import SLUGS, FieldError, NotFound, Refused, Unprocessable, problem_of


class OrderNotCancellable(Unprocessable):
    """Only an order in status NEW
    can be cancelled.
    """


def test_the_docstring_is_the_message_unless_another_is_given() -> None:
    assert OrderNotCancellable().detail == "Only an order in status NEW can be cancelled."
    assert str(OrderNotCancellable("No.")) == "No."
    assert (OrderNotCancellable().status, OrderNotCancellable().title) == (422, "Unprocessable entity")


def test_a_refusal_without_a_docstring_says_what_its_kind_says() -> None:
    class Gone(NotFound): ...

    assert Gone().detail == "There is no such resource."


def test_a_problem_has_the_shape_of_rfc_9457() -> None:
    refused = OrderNotCancellable(errors=[FieldError("body.status", "is FILLED")])
    assert problem_of(refused, instance="/orders/1", request_id="r-1") == {
        "type": "/problems/unprocessable_entity",
        "title": "Unprocessable entity",
        "status": 422,
        "detail": "Only an order in status NEW can be cancelled.",
        "instance": "/orders/1",
        "request_id": "r-1",
        "errors": [{"location": "body.status", "message": "is FILLED"}],
    }


def test_a_problem_leaves_out_what_there_is_not() -> None:
    assert problem_of(NotFound()).keys() == {"type", "title", "status", "detail"}


def test_a_refusal_of_no_known_kind_cannot_be_defined() -> None:
    with pytest.raises(TypeError, match="Odd"):
        type("Odd", (Refused,), {"slug": "odd"})


def test_every_kind_has_a_status_of_an_error() -> None:
    assert all(400 <= status < 600 for status, _ in SLUGS.values())
