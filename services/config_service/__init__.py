"""Owns clients, accounts, allocations and configurations.

Consumes commands on configurations (`configurations.commands.v1`).
Publishes AccountCreated/Updated, AllocationCreated/Deleted, ConfigurationCreated/Deleted, and replies to commands.
"""
