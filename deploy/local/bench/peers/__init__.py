"""Our relay beside others that do the same: Debezium's outbox event router on Kafka Connect, default and tuned."""
