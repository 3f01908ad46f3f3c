"""The story of `make demo`: a configuration is deleted, and what happens to orders and webhooks, with the evidence."""
