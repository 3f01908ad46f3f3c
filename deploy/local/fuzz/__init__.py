"""`make fuzz`: every operation of every service, asked in every way that its OpenAPI document allows or forbids.

Schemathesis makes the requests and checks the answers: by example, at the borders of every schema, at random, and in
chains where one answer feeds the next request. What is ours here is the world that the requests meet (`world`), the
checks that only we can name (`checks`), and the verdict (`verdicts`). No operation, check or status is left out.
"""
