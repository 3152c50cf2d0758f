"""Fails when a locked package has a known vulnerability; arguments are passed on to pip-audit.

The data are PyPI's. Where they cannot be had the check says so and passes: an outage of somebody else's
service must not stop the work here, and the next run looks again.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

# What is known and does not concern Parley: the vulnerability's id, and why.
IGNORED: dict[str, str] = {}

_LOCK = Path(__file__).parents[1] / "requirements.lock"
# What pip-audit ends with, as an error or a traceback, when it gets no answer or none that it understands.
_NO_ANSWER = (
    "Could not connect",
    "not redirecting",
    "requests.exceptions.",
    "ServiceError",
    "Tip: your network",
)


def main(arguments: list[str]) -> int:
    """Tells what was found, and gives the exit code: 1 when there is something to do."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pip_audit", "--requirement", str(_LOCK), "--disable-pip"),
                *("--require-hashes", "--format", "json", "--output", str(report)),
                *("--progress-spinner", "off", *arguments),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if report.is_file():
            return _judge(json.loads(report.read_text())["dependencies"])
    if any(sign in done.stderr for sign in _NO_ANSWER):
        return _say("audit: not done, the vulnerability service gives no answer", 0)
    return _say(f"audit: failed\n{done.stderr}", 1)


def _judge(packages: list[dict[str, object]]) -> int:
    looked_at = [package for package in packages if "vulns" in package]
    if not looked_at:
        return _say("audit: not done, the vulnerability service knows none of the packages", 0)
    if left_out := [str(package["name"]) for package in packages if "vulns" not in package]:
        _say(f"audit: nothing is known about {', '.join(left_out)}", 0)
    found = [line for package in looked_at for line in _findings(package)]
    if found:
        return _say("audit: known vulnerabilities in requirements.lock\n" + "\n".join(found), 1)
    return _say(f"audit: {len(looked_at)} packages, no known vulnerability", 0)


def _findings(package: dict[str, object]) -> list[str]:
    vulnerabilities = package["vulns"]
    assert isinstance(vulnerabilities, list)  # noqa: S101 - the format of pip-audit's report
    return [
        f"  {package['name']} {package['version']}: {one['id']}, "
        f"fixed in {', '.join(one['fix_versions']) or 'none'}"
        for one in vulnerabilities
        if IGNORED.keys().isdisjoint({one["id"], *one.get("aliases", ())})
    ]


def _say(text: str, code: int) -> int:
    sys.stdout.write(f"{text}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
