"""What is allowed where: the one place to declare a new module's noun or a new catch-all, with its reason."""

#: The modules that a package may hold; each room of a service is split by the nouns of that service.
NOUNS = {
    "services/config_service": (
        "accounts allocations auth clients configurations foresight keys ledgers listings metadata portfolios "
        "standings tables"
    ),
    "services/ops_console": (
        "accounts answers clients commands deliveries events frame grants groups outbox overview parked provider "
        "providing reach receiver replies serving services signing_in stories style subscriptions tables topics "
        "verdicts watching webhooks windows"
    ),
    "services/order_service": (
        "accounts announcements copies currencies execution_orders executions foresight freshness listing orders "
        "portfolios rebalancings refusals resources transitions"
    ),
    "services/webhook_dispatcher": (
        "access actions addresses agenda attempts backlog backoff boundaries capacity changes claims clients config "
        "copies deliveries delivery dialling disabling endings endpoints event_types exchange failing gate "
        "housekeeping journeys measures ops outcomes package packages partitions planning recording recoveries "
        "recovery reopenings repairs resending retention returns searches secrets sender sending signing signing_keys "
        "slots standing subscriptions targets tokens trials trust watched watching"
    ),
    "shared/contracts": (
        "accounts allocations base catalogue clients configurations envelope export identifiers json_keys orders "
        "partitioning portfolios rebalancings record replies subscriptions topics unreadable upstream values"
    ),
    "shared/kit/auth": "issuer keys remote_keys scopes trust verifier",
    "shared/kit/http": (
        "app bodies connection examples frame headers health idempotency intake links metrics openapi pages problems "
        "refused server spans"
    ),
}

#: Names that say nothing about what a module holds.
EMPTY_NAMES = {"base_classes", "common", "core", "data", "helper", "helpers", "info", "impl", "manager", "managers"}
EMPTY_NAMES |= {"misc", "util", "utils"}

#: Packages that hand nothing on: what they would hand on would be imported by everyone who imports a part of them.
EMPTY_PACKAGES = ("services/__init__.py", "shared/__init__.py", "shared/kit/__init__.py")

#: Where any exception at all is caught, and does not simply go on its way: the last resort of a loop or of an answer.
CATCHES_ALL = {
    "services/webhook_dispatcher/workers/delivery.py DeliveryWorker._send": "a fault of ours is a delivery not sent",
    "shared/kit/consuming.py Consumer._take": "a batch that failed is taken message by message",
    "shared/kit/consuming.py Consumer._take_one": "a message that failed is brought to its fate",
    "shared/kit/housekeeping.py Housekeeping.run": "put off while the database is away; anything else is raised",
    "shared/kit/http/frame.py RequestFrame._with_a_net": "the middleware: whatever is raised is answered as a problem",
    "shared/kit/liveness.py Readiness._answer": "a check that fails is the answer",
}

#: Rules that may be left out without a word, because the line itself says why.
SELF_EXPLAINING = {
    "A002": "an argument that is named after the field it fills",
    "FBT001": "a boolean that is passed by name, or by pytest or pydantic",
    "PLC0415": "an import where it is needed: the library is slow to load or is not always there",
    "PLR2004": "a number that stands once, beside the words that explain it",
    "import-untyped": "the library ships no types",
}

#: Hosts that serve packages, images or archives, in parts: a machine's own mirror must be able to stand for them.
REGISTRIES = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("python" + "hosted", "org"),
        ("maven", "org"),
        ("maven", "apache", "org"),
        ("npmjs", "org"),
        ("golang", "org"),
        ("docker", "io"),
        ("docker", "com"),
        ("ghcr", "io"),
        ("gcr", "io"),
        ("quay", "io"),
        ("archive", "apache", "org"),
        ("downloads", "apache", "org"),
        ("dlcdn", "apache", "org"),
    )
)
