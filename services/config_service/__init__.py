"""Owns clients, accounts, allocations, configurations, organizations, ledgers and their portfolios.

Consumes commands on configurations (`configurations.commands.v1`) and portfolios (`portfolios.commands.v1`).
Publishes AccountCreated/Updated, AllocationCreated/Changed/Deleted, ConfigurationCreated/Changed/Deleted,
ClientCreated/Changed/Revoked, PortfolioCreated/Updated/Deleted, and replies to commands.
"""
