"""A consumer as a process, which a test can kill: writes down each message it handled, on standard output."""

import asyncio
import sys
from collections.abc import Sequence

from pydantic import SecretStr

from mesh.amqp.connection import Broker
from mesh.amqp.consumer import Consumer
from mesh.amqp.deliveries import Ack, Delivery, Outcome
from mesh.amqp.topology import Topology
from mesh.logs import configure_logs


async def _handle(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
    for delivery in deliveries:
        sys.stdout.write(delivery.message_id + "\n")
        sys.stdout.flush()
        await asyncio.sleep(0.001)  # so that a kill meets the middle of a batch
    return [Ack()] * len(deliveries)


async def _main(url: str, queue: str) -> None:
    topology = Topology((queue,), (), delivery_limit=20)
    async with Broker(SecretStr(url), name="test", topology=topology) as broker:
        await Consumer(broker, queue, _handle, prefetch=64, batch_size=16).run()


if __name__ == "__main__":
    configure_logs("consumer", "WARNING", "json")  # on standard error
    asyncio.run(_main(*sys.argv[1:3]))
