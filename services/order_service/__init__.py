"""Portfolio orders and rebalancings: taken, moved along, and cancelled with the configuration that they rest on.

Owns: orders, rebalancing executions, and a copy of who is configured and whose ledger portfolio is blocked (accounts).
Consumes: configurations.events, accounts.events, portfolios.events, orders.commands, rebalancings.commands.
Publishes: orders.events, rebalancings.events, commands.replies.
"""
