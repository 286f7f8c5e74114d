"""The routes of the local HTTP interface and their status codes."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from daemon.http import CommandOutcome, Health, Metrics, create_app
from daemon.http.view import NO_STORE
from tests.world.site_view import STATE, ScriptedView


@pytest.fixture
def view() -> ScriptedView:
    return ScriptedView()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def client(view: ScriptedView, metrics: Metrics) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=create_app(view, metrics.registry))
    async with httpx2.AsyncClient(transport=transport, base_url="http://site") as client:
        yield client


async def test_the_state_is_the_object_of_mqtt_with_null_for_absent(client: httpx2.AsyncClient) -> None:
    response = await client.get("/api/v1/state")

    assert response.json() == STATE
    assert response.json()["power_w"] is None


async def test_devices_and_ledger(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/api/v1/devices")).json() == [{"id": "poi", "power_w": None}]
    assert (await client.get("/api/v1/ledger")).json() == STATE["ledger"]


@pytest.mark.parametrize("ok", [True, False])
async def test_health_says_why_not(client: httpx2.AsyncClient, view: ScriptedView, ok: bool) -> None:  # noqa: FBT001 - a case
    view.health_now = Health(ok=ok, reasons=() if ok else ("the cycle is late",))

    response = await client.get("/healthz")

    assert response.status_code == (200 if ok else 503)
    assert response.json() == {"ok": ok, "reasons": [] if ok else ["the cycle is late"]}


async def test_a_plan_under_a_limit_of_0(client: httpx2.AsyncClient, view: ScriptedView) -> None:
    response = await client.get("/api/v1/plan", params={"limit_w": 0})

    assert response.json() == {"limit_w": 0, "reached": True}
    assert view.planned == [0]


async def test_no_plan_for_a_site_that_was_not_seen_whole(
    client: httpx2.AsyncClient, view: ScriptedView
) -> None:
    view.seen_whole = False

    response = await client.get("/api/v1/plan", params={"limit_w": 0})

    assert response.status_code == 503
    assert response.json()["type"].rpartition("/")[2] == "not-seen-yet"


@pytest.mark.parametrize(
    "query", ["", "?limit_w=-1", "?limit_w=1.5", "?limit_w=none", "?limit_w=9007199254740992"]
)
async def test_a_plan_needs_whole_watts(client: httpx2.AsyncClient, view: ScriptedView, query: str) -> None:
    response = await client.get(f"/api/v1/plan{query}")

    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"].rpartition("/")[2] == "invalid-request"
    assert view.planned == []


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (CommandOutcome("accepted", "a.b.c"), 202),
        (CommandOutcome("done", "a.b.c"), 202),
        (CommandOutcome("failed", "a.b.c"), 202),
        (CommandOutcome("rejected", "a.b.c"), 400),
    ],
)
async def test_a_command_gets_its_first_answer(
    client: httpx2.AsyncClient, view: ScriptedView, outcome: CommandOutcome, status: int
) -> None:
    view.outcome = outcome

    response = await client.post("/api/v1/commands", content=b"x.y.z")

    assert (response.status_code, response.text) == (status, "a.b.c")
    assert response.headers["content-type"] == "application/jose"
    assert view.commands == [b"x.y.z"]


async def test_where_mqtt_is_silent_http_says_401_and_the_word(
    client: httpx2.AsyncClient, view: ScriptedView
) -> None:
    view.outcome = CommandOutcome("bad-signature", None)

    response = await client.post("/api/v1/commands", content=b"x.y.z")

    assert response.status_code == 401
    assert response.json()["type"].rpartition("/")[2] == "bad-signature"


async def test_a_command_that_cannot_be_made_durable_is_worth_another_try(
    client: httpx2.AsyncClient, view: ScriptedView
) -> None:
    view.outcome = CommandOutcome(NO_STORE, None)

    response = await client.post("/api/v1/commands", content=b"x.y.z")

    assert response.status_code == 503
    assert response.json()["type"].rpartition("/")[2] == "no-store"


async def test_a_command_without_end_is_cut_where_it_is_too_large(
    client: httpx2.AsyncClient, view: ScriptedView
) -> None:
    view.outcome = CommandOutcome("too-large", None)

    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while not view.commands and sent < 1_000_000:
            sent += 5000
            yield b"a" * 5000

    response = await client.post("/api/v1/commands", content=endless())

    assert response.status_code == 401
    assert [len(body) for body in view.commands] == [16 * 1024 + 1]
    assert sent == 20_000


async def test_who_draws_what_by_circuit_and_class_and_by_device_on_request(
    client: httpx2.AsyncClient,
) -> None:
    usual = (await client.get("/metrics")).text
    whole = (await client.get("/metrics", params={"devices": "true"})).text

    assert 'quotawatt_circuit_power_watts{circuit="hall-1"} 0.0\n' in usual
    assert 'quotawatt_circuit_limit_watts{circuit="hall-1"} 6e+06\n' in usual
    assert 'quotawatt_load_power_watts{class="hash"} 1.5\n' in usual
    assert "device=" not in usual
    assert 'quotawatt_device_power_watts{device="m-1"} 1.5\n' in whole


async def test_the_answers_to_a_command_so_far(client: httpx2.AsyncClient) -> None:
    response = await client.get("/api/v1/commands/known")

    assert response.json() == {"jti": "known", "answers": ["a.b.c", "d.e.f"]}
    assert (await client.get("/api/v1/commands/other")).status_code == 404


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/api/v1/other"])
async def test_nothing_else_is_there(client: httpx2.AsyncClient, path: str) -> None:
    response = await client.get(path)

    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "POST"])
async def test_there_are_no_other_writes(client: httpx2.AsyncClient, method: str) -> None:
    assert (await client.request(method, "/api/v1/state")).status_code == 405


async def test_metrics_are_prometheus_text(client: httpx2.AsyncClient, metrics: Metrics) -> None:
    metrics.power(512_000)

    response = await client.get("/metrics")

    assert response.headers["content-type"].startswith("text/plain; version=")
    assert "quotawatt_site_power_watts 512000.0\n" in response.text
