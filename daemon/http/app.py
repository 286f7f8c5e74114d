"""Routes of the local HTTP interface. Everything is read-only but commands, which are signed."""

from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.exceptions import HTTPException

from daemon.http.powers import powers_text
from daemon.http.view import NO_STORE, SiteView

LARGEST_COMMAND = 16 * 1024
"""Bytes of a cmd JWS, as on MQTT."""

_JOSE = "application/jose"
_MAX_INTEGER = 2**53 - 1


def create_app(view: SiteView, registry: CollectorRegistry) -> FastAPI:
    """The application; `registry` is what `/metrics` shows."""
    # The interactive pages would load scripts from a CDN; sites have no way to one.
    app = FastAPI(title="Quotawatt", openapi_url=None, docs_url=None, redoc_url=None)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_bad_request)
    _add_reading(app, view, registry)
    _add_commands(app, view)
    return app


def problem(status: int, word: str, title: str) -> JSONResponse:
    """RFC 9457 problem details; the last path segment of `type` is the word."""
    body = {"type": f"/problems/{word}", "title": title, "status": status}
    return JSONResponse(body, status, media_type="application/problem+json")


def _add_reading(app: FastAPI, view: SiteView, registry: CollectorRegistry) -> None:
    @app.get("/healthz")
    async def healthz() -> JSONResponse:
        health = view.health()
        body = {"ok": health.ok, "reasons": list(health.reasons)}
        return JSONResponse(body, 200 if health.ok else 503)

    @app.get("/metrics")
    async def metrics(*, devices: bool = False) -> Response:
        shown = generate_latest(registry) + powers_text(view.powers(), devices=devices)
        return Response(shown, media_type=CONTENT_TYPE_LATEST)

    @app.get("/api/v1/state")
    async def state() -> JSONResponse:
        return JSONResponse(view.state())

    @app.get("/api/v1/devices")
    async def devices() -> JSONResponse:
        return JSONResponse(view.devices())

    @app.get("/api/v1/plan")
    async def plan(limit_w: Annotated[int, Query(ge=0, le=_MAX_INTEGER)]) -> JSONResponse:
        told = await view.plan(limit_w)
        if told is None:
            return problem(503, "not-seen-yet", "the site has not been seen whole yet")
        return JSONResponse(told)

    @app.get("/api/v1/ledger")
    async def ledger() -> JSONResponse:
        return JSONResponse(view.ledger())


def _add_commands(app: FastAPI, view: SiteView) -> None:
    @app.post("/api/v1/commands")
    async def command(request: Request) -> Response:
        outcome = await view.command(await _bounded_body(request))
        if outcome.word == NO_STORE:
            return problem(503, NO_STORE, "nothing can be recorded now: the command was not taken")
        if outcome.answer is None:
            # The same silence as on MQTT, which here needs a status.
            return problem(401, outcome.word, "this command cannot be answered to its issuer")
        status = 400 if outcome.word == "rejected" else 202
        return Response(outcome.answer, status, media_type=_JOSE)

    @app.get("/api/v1/commands/{jti}")
    async def answers(jti: str) -> Response:
        found = list(await view.answers(jti))
        if not found:
            return problem(404, "not-found", "no command with this jti is known")
        return JSONResponse({"jti": jti, "answers": found})


async def _bounded_body(request: Request) -> bytes:
    """The body, cut one byte past the limit: the command desk counts and refuses it by the same rule."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_COMMAND:
            return bytes(body[: LARGEST_COMMAND + 1])
    return bytes(body)


async def _on_http_error(request: Request, error: Exception) -> Response:
    del request
    status = error.status_code if isinstance(error, HTTPException) else 500
    words = {404: "not-found", 405: "method-not-allowed"}
    return problem(status, words.get(status, "error"), str(getattr(error, "detail", error)))


async def _on_bad_request(request: Request, error: Exception) -> Response:
    del request
    details: list[Any] = list(error.errors()) if isinstance(error, RequestValidationError) else []
    text = "; ".join(f"{item['loc'][-1]}: {item['msg']}" for item in details)
    return problem(400, "invalid-request", text or "the request cannot be read")
