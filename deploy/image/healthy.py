"""The image's health check: exits with 0 while the service in this container may be given work, else says why not.

It needs nothing but Python: `python healthy.py [role]`, a role of the process or `all`; without one it asks what a load
balancer asks.
"""

import http.client
import os
import sys

_SECONDS = 4.0
_OK = 200


def main() -> int:
    """Ask once."""
    port = int(os.environ.get("PORTFOLIO_BUS_HTTP_PORT", "8000"))
    role = f"?role={sys.argv[1]}" if sys.argv[1:] else ""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    try:
        connection.request("GET", f"/health/ready{role}")
        answer = connection.getresponse()
        body = answer.read(2000).decode(errors="replace")
    except OSError as fault:
        sys.stderr.write(f"nobody answers on port {port}: {fault}\n")
        return 1
    finally:
        connection.close()
    if answer.status != _OK:
        sys.stderr.write(f"{answer.status}: {body}\n")
    return 0 if answer.status == _OK else 1


if __name__ == "__main__":
    sys.exit(main())
