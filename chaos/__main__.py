"""`make chaos SECONDS=60 SEED=1`: exit code 0 when every promise held, 1 when not."""

import argparse
import asyncio
import random
import signal
import sys
import tempfile
from pathlib import Path
from typing import Final

from chaos import wrong_clock
from chaos.mesh import LINKS, MeshError
from chaos.report import complaint, praise, table
from chaos.run import run
from chaos.schedule import plan
from devstack.errors import DevstackError

_MORE_SECONDS: Final = 240.0
"""What a run may take on top of its load: to start, to come to rest, to be judged, to end."""


def main() -> int:
    """One run."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends all processes on the way
    folder = Path(tempfile.mkdtemp(prefix=f"parley-chaos-{arguments.seed}-"))
    schedule = plan(arguments.seed, arguments.seconds, LINKS)
    _tell(
        f"chaos: seed {arguments.seed}, {len(schedule)} faults in {arguments.seconds:.0f} s, logs in {folder}"
    )

    async def bounded() -> int:
        async with asyncio.timeout(arguments.seconds + _MORE_SECONDS):
            outcome = await run(schedule, arguments.seconds, arguments.seed, folder, _tell)
        _tell(table(outcome.figures, outcome.recoveries))
        if outcome.violations:
            _tell(complaint(outcome.violations, arguments.seed, arguments.seconds))
        else:
            _tell(praise(len(schedule), arguments.seed))
        return 1 if outcome.violations else 0

    try:
        wrong_clock.require()
        return asyncio.run(bounded())
    except TimeoutError:
        _tell(f"FAILED: seed {arguments.seed} did not end in time, logs in {folder}")
    except (MeshError, DevstackError) as error:
        _tell(f"FAILED: seed {arguments.seed}: {error}")
    except Exception as error:
        # Whatever it died of, an error of a task in a group too: there is a verdict before the traceback.
        _tell(f"FAILED: seed {arguments.seed} died of {error!r}, logs in {folder}")
        raise
    return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the load and the faults last")
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(10_000), help="repeats a run"
    )
    return parser.parse_args()


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
