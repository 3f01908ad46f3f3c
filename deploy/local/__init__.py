"""The local stack: Kafka, PostgreSQL and the services as processes of this machine.

`local_stack()` in `stack.py` is what tests and scripts use; `python -m deploy.local up` is what people use.
"""
