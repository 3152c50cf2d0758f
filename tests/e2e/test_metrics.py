"""What the processes really show on their admin ports after a conversation."""

import asyncio
import time
import uuid
from collections.abc import Mapping

import httpx
from prometheus_client.parser import text_string_to_metric_families

from mesh.amqp.topology import QUEUES, dead_queue
from tests.architecture.measurements import MODULES, metrics_of
from tests.e2e.conftest import Connect
from tests.e2e.mesh import WAIT_SECONDS, Mesh, Service

Samples = Mapping[str, list[tuple[dict[str, str], float]]]
PACKAGES = {"edge": "edge", "chat": "chat_service", "persist": "persist_service", "notify": "notify_service"}


async def scrape(service: Service) -> Samples:
    """All samples by the name of their series, read as Prometheus reads them."""
    async with httpx.AsyncClient() as http:
        text = (await http.get(f"http://127.0.0.1:{service.admin_port}/metrics")).text
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def total(samples: Samples, name: str, **labels: str) -> float:
    """The sum of the samples with these labels."""
    return sum(value for own, value in samples.get(name, ()) if labels.items() <= own.items())


def parts(mesh: Mesh) -> dict[str, Service]:
    return {"edge": mesh.edges[0], "chat": mesh.chat, "persist": mesh.persist, "notify": mesh.notify}


async def test_each_process_tells_what_it_is_and_knows_its_metrics(mesh: Mesh) -> None:
    for part, service in parts(mesh).items():
        samples = await scrape(service)
        ((labels, value),) = samples["parley_build_info"]
        assert (labels["part"], value) == (part, 1)
        assert total(samples, "parley_event_loop_lag_seconds_count") > 0
        assert total(samples, "process_resident_memory_bytes") > 0
        own = [m for m in MODULES if m.split(".")[0] == PACKAGES[part]]
        for metric in (metric for module in own for metric in metrics_of(module)):
            # Those with labels begin with their first sample.
            assert metric.labels or metric.series & samples.keys(), metric.name


async def test_a_message_is_seen_at_each_step_of_its_way(mesh: Mesh, connect: Connect) -> None:
    before = {part: await scrape(service) for part, service in parts(mesh).items()}
    tail = uuid.uuid4().hex[:8]
    alice, bob = await asyncio.gather(
        connect(f"alice-{tail}", mesh.edges[0]), connect(f"bob-{tail}", mesh.edges[0])
    )
    chat = (await alice.rest.post("/chats", {"userId": bob.user_id}))["chat"]
    for client in (alice, bob):
        await client.wait_for("chat-created")
    await alice.say(chat["id"], "seen everywhere")
    await bob.wait_for("new-message")

    async def grew(part: str, name: str, **labels: str) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while total(await scrape(parts(mesh)[part]), name, **labels) <= total(before[part], name, **labels):
            assert time.monotonic() < deadline, f"{part}: {name} {labels}"
            await asyncio.sleep(0.05)

    method = "parley.chat.v1.ChatService/SendMessages"
    await grew("edge", "parley_edge_commands_total", event="send-message")
    await grew("edge", "parley_edge_send_seconds_count")
    await grew("edge", "parley_rpc_client_seconds_count", method=method, code="OK")
    await grew("edge", "parley_edge_deliveries_total")
    for unit in ("connections", "bytes", "seconds"):
        await grew("edge", f"parley_edge_flush_{unit}_count")
    await grew("chat", "parley_rpc_server_seconds_count", method=method, code="OK")
    for stage in ("charge", "mark", "accept", "confirm", "clear"):
        await grew("chat", "parley_chat_send_stage_seconds_count", stage=stage)
    await grew("chat", "parley_redis_seconds_count", command="pipeline")
    await grew("chat", "parley_amqp_published_total", queue="message-persist", result="confirmed")
    await grew("persist", "parley_amqp_deliveries_total", queue="message-persist", outcome="ack")
    await grew("persist", "parley_persist_store_lag_seconds_count")
    await grew("persist", "parley_persist_index_lag_seconds_count")
    await grew("persist", "parley_mongo_seconds_count", command="insert", result="ok")
    await grew("notify", "parley_mongo_seconds_count", result="ok")


async def test_queues_are_told_by_all_who_consume_some(mesh: Mesh) -> None:
    for part in ("persist", "notify"):
        samples = await scrape(parts(mesh)[part])
        lengths = {labels["queue"] for labels, _ in samples["parley_queue_ready_messages"]}
        assert lengths >= {*QUEUES, *map(dead_queue, QUEUES)}
        assert {labels["queue"] for labels, _ in samples["parley_queue_consumers"]} == set(QUEUES)
    assert "parley_chat_outbox_entries" in await scrape(mesh.chat)
