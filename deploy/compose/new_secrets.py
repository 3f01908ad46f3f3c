"""Make the secrets of compose.yaml, each in a file of `deploy/compose/secrets`; those that are there already stay.

Needs nothing but Python: `python3 deploy/compose/new_secrets.py [FOLDER]`.
"""

import base64
import secrets
import sys
import uuid
from pathlib import Path

SERVICES = ("config_service", "order_service", "webhook_dispatcher")


def wanted() -> dict[str, str]:
    """Every secret by the name of its file, made anew."""
    passwords = {f"{service}_password": secrets.token_urlsafe(24) for service in SERVICES}
    return {
        **passwords,
        "postgres_password": secrets.token_urlsafe(24),
        "grafana_password": secrets.token_urlsafe(24),
        # The console's own client: an id that nobody has, and a secret as long as config_service's own.
        "console_client_id": str(uuid.uuid4()),
        "console_client_secret": secrets.token_urlsafe(32),
        # What operators sign in to the console with.
        "console_token": secrets.token_urlsafe(32),
        "secret_keys": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    }


def write(folder: Path) -> list[str]:
    """Write what is missing; answers the names of what was written."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = [name for name, value in wanted().items() if _written(folder / name, value)]
    for service in SERVICES:
        password = (folder / f"{service}_password").read_text()
        url = f"postgresql://{service}:{password}@postgres:5432/{service}"
        if _written(folder / f"{service}_database_url", url):
            made.append(f"{service}_database_url")
    return made


def _written(path: Path, value: str) -> bool:
    if path.exists():
        return False
    # Readable by all, since the containers' users are others; the folder lets nobody else in.
    path.touch(mode=0o644)
    path.write_text(value)
    return True


if __name__ == "__main__":
    there = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).with_name("secrets")
    for each in write(there):
        sys.stdout.write(f"{there / each}\n")
