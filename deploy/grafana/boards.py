"""The dashboards: what each graph asks and what it means. What the metrics mean is told in docs/metrics.md."""

from typing import Final

from .drawing import Board, Panel, Query, greatest, quantiles, rate

_SERVICES: Final = '{job=~"config_service|order_service|webhook_dispatcher|ops_console"}'
_ATTEMPTS: Final = "portfolio_bus_delivery_attempts_total"

SYSTEM: Final = Board(
    "portfolio-bus-system",
    "portfolio-bus: the system",
    [
        (
            "Is it there, and does it keep up",
            [
                Panel(
                    "Processes that answer",
                    "Replicas of each service that Prometheus reaches.",
                    "short",
                    [Query(f"sum by (job) (up{_SERVICES})", "{{job}}")],
                ),
                Panel(
                    "Behind, by group",
                    "Age of the oldest message that a consumer group has not done.",
                    "s",
                    [greatest("portfolio_bus_consumer_lag_seconds", "group")],
                ),
                Panel(
                    "Oldest in the outbox",
                    "How long the oldest event has been committed and not published.",
                    "s",
                    [greatest("portfolio_bus_outbox_oldest_seconds", "job")],
                ),
                Panel(
                    "In the outbox",
                    "Events that wait to be published; estimated beyond a few thousand.",
                    "short",
                    [greatest("portfolio_bus_outbox_rows", "job")],
                ),
            ],
        ),
        (
            "What it does",
            [
                Panel(
                    "Requests", "HTTP requests a second.", "reqps", [rate("portfolio_bus_http_requests_total", "job")]
                ),
                Panel(
                    "Events",
                    "Events published a second.",
                    "short",
                    [rate("portfolio_bus_relay_published_total", "job")],
                ),
                Panel("Attempts to deliver", "A second, by what came of them.", "short", [rate(_ATTEMPTS, "outcome")]),
                Panel(
                    "Stopped by the gate",
                    "Deliveries a second that the rule of the project stops, by reason. No fault: the rule at work.",
                    "short",
                    [rate("portfolio_bus_deliveries_suppressed_total", "reason")],
                ),
            ],
        ),
    ],
)

CONSUMERS: Final = Board(
    "portfolio-bus-consumers",
    "portfolio-bus: consumers",
    [
        (
            "Lag",
            [
                Panel(
                    "Behind, in seconds",
                    "Age of the oldest message that is not done.",
                    "s",
                    [greatest("portfolio_bus_consumer_lag_seconds", "group", "topic")],
                ),
                Panel(
                    "Behind, in records",
                    "Records that are not done, markers of transactions among them until they are passed.",
                    "short",
                    [Query("sum by (group, topic) (portfolio_bus_consumer_lag_records)", "{{group}} {{topic}}")],
                ),
                Panel(
                    "Partitions that stand",
                    "Partitions that a group does not get past by itself.",
                    "short",
                    [greatest("portfolio_bus_consumer_stopped_partitions", "group", "reason")],
                ),
                Panel(
                    "Parked",
                    "Messages that were put aside a second, by reason.",
                    "short",
                    [rate("portfolio_bus_consumer_parked_total", "group", "reason")],
                ),
            ],
        ),
        (
            "Messages and batches",
            [
                Panel(
                    "Messages",
                    "What became of messages, a second.",
                    "short",
                    [rate("portfolio_bus_consumer_messages_total", "group", "fate")],
                ),
                Panel(
                    "Messages in a batch",
                    "On average: near one where little comes, up to the greatest batch under load.",
                    "short",
                    [
                        Query(
                            "sum by (group) (rate(portfolio_bus_consumer_batch_records_sum[$__rate_interval])) / "
                            "sum by (group) (rate(portfolio_bus_consumer_batch_records_count[$__rate_interval]))",
                            "{{group}}",
                        )
                    ],
                ),
                Panel(
                    "Time of a batch",
                    "Waits, retries and parking included.",
                    "s",
                    quantiles("portfolio_bus_consumer_batch_seconds", "group"),
                ),
            ],
        ),
        (
            "Read barrier",
            [
                Panel(
                    "Waits",
                    "Waits a second for copies to be as new as Kafka, by how they ended: late and failed are put off.",
                    "short",
                    [rate("portfolio_bus_barrier_wait_seconds_count", "keeper", "outcome")],
                ),
                Panel(
                    "Time of a wait",
                    "How long they took.",
                    "s",
                    quantiles("portfolio_bus_barrier_wait_seconds", "keeper"),
                ),
            ],
        ),
    ],
)

DELIVERIES: Final = Board(
    "portfolio-bus-deliveries",
    "portfolio-bus: deliveries",
    [
        (
            "Attempts",
            [
                Panel("Attempts", "A second, by what came of them.", "short", [rate(_ATTEMPTS, "outcome")]),
                Panel(
                    "Success",
                    "The share of attempts that were delivered; those that a stopping process gave up do not count.",
                    "percentunit",
                    [
                        Query(
                            f'sum(rate({_ATTEMPTS}{{outcome="DELIVERED"}}[$__rate_interval])) / '
                            f'sum(rate({_ATTEMPTS}{{outcome!="INTERRUPTED"}}[$__rate_interval]))',
                            "delivered",
                        )
                    ],
                ),
                Panel(
                    "Time of an attempt",
                    "Looking up the name, connecting, sending, and the answer.",
                    "s",
                    quantiles("portfolio_bus_delivery_attempt_seconds", of=(0.5, 0.95, 0.99)),
                ),
                Panel(
                    "From the event to the acknowledgement",
                    "With the outbox, Kafka, planning, delays and attempts that failed.",
                    "s",
                    quantiles("portfolio_bus_delivery_acknowledged_seconds", of=(0.5, 0.95, 0.99)),
                ),
            ],
        ),
        (
            "What waits, and what does not go out",
            [
                Panel(
                    "Open",
                    "Deliveries that wait or are under way.",
                    "short",
                    [greatest("portfolio_bus_deliveries_open", "job")],
                ),
                Panel(
                    "Overdue",
                    "For how long the delivery that is overdue most has been due.",
                    "s",
                    [greatest("portfolio_bus_deliveries_overdue_seconds", "job")],
                ),
                Panel(
                    "Circuits",
                    "Endpoints that are left alone after failures (open), or are about to be probed (half_open).",
                    "short",
                    [greatest("portfolio_bus_delivery_circuits", "state")],
                ),
                Panel(
                    "Stopped by the gate",
                    "Deliveries a second that the rule of the project stops, by reason.",
                    "short",
                    [rate("portfolio_bus_deliveries_suppressed_total", "reason")],
                ),
            ],
        ),
    ],
)

PROCESSES: Final = Board(
    "portfolio-bus-processes",
    "portfolio-bus: processes and HTTP",
    [
        (
            "HTTP",
            [
                Panel(
                    "Requests",
                    "A second, by class of the status.",
                    "reqps",
                    [rate("portfolio_bus_http_requests_total", "job", "status")],
                ),
                Panel(
                    "Slowest routes",
                    "The time that 99 of 100 requests stay below, of the ten slowest routes.",
                    "s",
                    [
                        Query(
                            "topk(10, histogram_quantile(0.99, sum by (le, job, method, route) "
                            "(rate(portfolio_bus_http_request_seconds_bucket[$__rate_interval]))))",
                            "{{job}} {{method}} {{route}}",
                        )
                    ],
                ),
            ],
        ),
        (
            "Processes",
            [
                Panel(
                    "Processor time",
                    "Cores that a process uses.",
                    "short",
                    [rate("process_cpu_seconds_total", "job", "instance", matching=_SERVICES)],
                ),
                Panel(
                    "Memory",
                    "Memory of a process that is in use.",
                    "bytes",
                    [greatest("process_resident_memory_bytes", "job", "instance", matching=_SERVICES)],
                ),
                Panel(
                    "Connections to the database",
                    "The share of a process's connections that are in somebody's hands.",
                    "percentunit",
                    [
                        Query(
                            "portfolio_bus_database_pool_in_use / portfolio_bus_database_pool_size",
                            "{{job}} {{instance}}",
                        )
                    ],
                ),
                Panel(
                    "Event loop",
                    "How much later than asked for the event loop comes back to a task: above 0.1 s it is too busy.",
                    "s",
                    quantiles("portfolio_bus_event_loop_lag_seconds", "job", of=(0.99,)),
                ),
                Panel(
                    "Loops",
                    "How long ago the slowest of its loops came round.",
                    "s",
                    [greatest("portfolio_bus_loop_turned_seconds", "job", "loop")],
                ),
                Panel(
                    "Files and sockets",
                    "The share of those that a process may have open.",
                    "percentunit",
                    [Query(f"process_open_fds{_SERVICES} / process_max_fds{_SERVICES}", "{{job}} {{instance}}")],
                ),
            ],
        ),
    ],
)

#: all dashboards
BOARDS: Final = (SYSTEM, CONSUMERS, DELIVERIES, PROCESSES)
