"""What devstack's two remedies do for the MongoDB stand-in, alternating with it as it comes.

As it comes: retryable writes, the driver's default, the interpreter's switch interval of 5 ms, and as many
connections as the driver likes. Each server takes more writes first than its registry of retryable ones
holds. Then: how many updates it does in a second, one after the other; and how long a read takes while eight
writers are at work, as a delivery has to wait for the store.

    python bench/bench_embedded_store.py [--rounds 2] [--seconds 5]
"""

import argparse
import statistics
import sys
import threading
import time
from typing import Any

from pymongo import MongoClient

from devstack.paths import MONGO_VENV
from devstack.process import ManagedProcess
from devstack.servers import MongoServer

_REGISTRY = 10_000
_BATCH = 500
_WRITERS = 8
_DEFAULT_INTERVAL = (
    "import sys; sys.setswitchinterval(0.005); from secantus.cli import main; sys.exit(main())"
)


class AsItComes(MongoServer):
    """Without the remedies."""

    @property
    def url(self) -> str:
        """Without options."""
        return f"mongodb://127.0.0.1:{self.port}/"

    def _describe(self) -> tuple[ManagedProcess, ...]:
        (process,) = super()._describe()
        argv = [str(MONGO_VENV / "bin" / "python"), "-c", _DEFAULT_INTERVAL, *process.argv[1:]]
        return (ManagedProcess(self.name, argv, log_path=process.log_path, env=process.env),)


def measure(server: MongoServer, seconds: float) -> tuple[float, float]:
    """Updates per second by one client; milliseconds that 99 of 100 reads take at most under writes."""
    client: MongoClient[dict[str, Any]]
    with server, MongoClient(server.url) as client:
        documents: Any = client["bench"]["documents"]
        for first in range(0, _REGISTRY + 2_000, _BATCH):
            documents.insert_many({"_id": number, "n": 0} for number in range(first, first + _BATCH))
        for number in range(_REGISTRY + 500):
            _update(documents, number)
        done, ends = 0, time.monotonic() + seconds
        while time.monotonic() < ends:
            _update(documents, done)
            done += 1
        return done / seconds, _read_latency(server.url, seconds)


def _update(documents: Any, number: int) -> None:
    documents.update_one({"_id": number % _REGISTRY}, {"$inc": {"n": 1}})


def _read_latency(url: str, seconds: float) -> float:
    stop = threading.Event()
    writing: MongoClient[dict[str, Any]]
    reading: MongoClient[dict[str, Any]]
    with MongoClient(url) as writing, MongoClient(url) as reading:
        writers = [threading.Thread(target=_write, args=(writing, n, stop)) for n in range(_WRITERS)]
        for writer in writers:
            writer.start()
        took: list[float] = []
        ends = time.monotonic() + seconds
        while (began := time.monotonic()) < ends:
            reading["bench"]["documents"].find_one({"_id": len(took) % _REGISTRY})
            took.append(1000 * (time.monotonic() - began))
        stop.set()
        for writer in writers:
            writer.join()
    return statistics.quantiles(took, n=100)[98] if len(took) > 1 else took[0]


def _write(client: Any, first: int, stop: threading.Event) -> None:
    number = first
    while not stop.is_set():
        _update(client["bench"]["documents"], number)
        number += _WRITERS


def main() -> None:
    """Print one line for each round and kind."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    for _ in range(options.rounds):
        for name, kind in {"as it comes": AsItComes, "as devstack has it": MongoServer}.items():
            rate, latency = measure(kind(), options.seconds)
            sys.stdout.write(
                f"{name:<20} {rate:7.0f} updates/s   reads under writes: p99 {latency:6.1f} ms\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
