"""Sends subscribers what happens, signed, and stops rebalancing events of accounts without a configuration.

Owns: subscriptions, deliveries, attempts; a copy of who is configured and of who owns an account.
Consumes: configurations, accounts, allocations, orders and rebalancings .events.
Publishes: subscriptions.events.
"""
