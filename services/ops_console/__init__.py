"""Shows what the other services and Kafka are doing, and steers them: the command line `portfolio-bus`.

Owns: nothing.
Consumes: no topic in a group of its own; it looks into topics, groups and parked messages when somebody asks.
Publishes: commands that a person sends.
"""
