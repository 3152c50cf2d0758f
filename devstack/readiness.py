"""Asks a service's admin port whether it is ready."""

from __future__ import annotations

import http.client
import json

_PROBE_SECONDS = 1.0


def not_ready_because(host: str, port: int) -> str | None:
    """None when `/readyz` answers 200, else what is missing in a few words. Blocks for a second at most."""
    connection = http.client.HTTPConnection(host.strip("[]"), port, timeout=_PROBE_SECONDS)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        body = response.read().decode("utf-8", errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return f"no answer from /readyz ({error})"
    finally:
        connection.close()
    return None if response.status == http.client.OK else _explain(response.status, body)


def _explain(status: int, body: str) -> str:
    """The dependencies that are down, from the JSON that the services answer."""
    try:
        dependencies = json.loads(body)["dependencies"]
        down = [f"{name}: {state}" for name, state in dependencies.items() if state != "up"]
    except (ValueError, KeyError, TypeError, AttributeError):
        down = []
    return "; ".join(down) or f"/readyz answers {status}"
