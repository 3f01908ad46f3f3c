"""Sends subscribers what happens, signed, and stops rebalancing events of accounts without a configuration.

Owns: subscriptions, deliveries, attempts; a copy of who is configured, of who owns an account and of who is revoked.
Consumes: configurations, accounts, clients, allocations, portfolios, orders and rebalancings .events.
Publishes: subscriptions.events.
"""
