"""The settlement endpoint over HTTP."""

from collections.abc import Callable
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from sim_devices.exchange import receipts
from sim_devices.exchange.bearer import check_bearer, open_bearer
from sim_devices.exchange.book import Book
from sim_devices.exchange.encoding import FormError, check_day
from sim_devices.exchange.intake import open_body, parse_number, parse_span, read_sent
from sim_devices.exchange.problems import ProblemError, problem_response
from sim_devices.exchange.receipts import ExchangeKey
from sim_devices.exchange.settlement import Settlement


def create_app(
    book: Book, *, key: ExchangeKey, clock: Callable[[], float], audience: str = "exchange"
) -> FastAPI:
    """The endpoint over `book`, receipting with `key`. `clock` gives Unix seconds."""
    app = FastAPI(
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        exception_handlers={ProblemError: _answer_problem, HTTPException: _answer_http},
    )
    settlement = Settlement(book, key, clock)

    def authorize(request: Request, site: str) -> None:
        envelope, claims = open_bearer(request.headers.getlist("authorization"))
        check_bearer(envelope, claims, book.keyring(claims.site), audience=audience, now_s=clock())
        if claims.site != site:
            raise ProblemError(403, "forbidden", f"the bearer is for site {claims.site}")

    @app.put("/v1/sites/{site}/ledger/{epoch}/{span}")
    async def put_ledger(request: Request, site: str, epoch: str, span: str) -> Response:
        authorize(request, site)
        named = parse_span(epoch, span)
        body = open_body(await read_sent(request.stream()), request.headers, named)
        new, receipt = settlement.take(site, named, body)
        return Response(receipt, status_code=201 if new else 200, media_type=receipts.MEDIA_TYPE)

    @app.get("/v1/sites/{site}/ledger/head")
    async def get_head(request: Request, site: str) -> Response:
        authorize(request, site)
        text = request.query_params.get("epoch")
        epoch = None if text is None else parse_number(text)
        if text is not None and epoch is None:
            raise ProblemError(400, "invalid-request", "epoch is a positive integer")
        return JSONResponse(settlement.head(site, epoch).model_dump())

    @app.get("/v1/sites/{site}/statement")
    async def get_statement(request: Request, site: str) -> Response:
        authorize(request, site)
        try:
            day = check_day(request.query_params.get("day", ""))
        except FormError as error:
            raise ProblemError(400, "invalid-request", f"day: {error}") from error
        statement = settlement.statement(site, day)
        if statement is None:
            raise ProblemError(404, "no-data", f"nothing is stored for {day}")
        return JSONResponse(statement.model_dump())

    return app


async def _answer_problem(_request: Request, problem: ProblemError) -> Response:
    return problem_response(problem)


async def _answer_http(_request: Request, error: HTTPException) -> Response:
    word = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    return problem_response(ProblemError(error.status_code, word, str(error.detail), headers=error.headers))
