"""Answers that say no: RFC 9457 problem details. The last segment of `type` is the contract's word."""

from collections.abc import Mapping
from typing import Any

from fastapi.responses import JSONResponse

from sim_devices.exchange.answers import TYPE_BASE


class ProblemError(Exception):
    """A request that is answered with a problem. `members` are the extension members."""

    def __init__(
        self,
        status: int,
        word: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **members: int | str | None,
    ) -> None:
        super().__init__(f"{word}: {detail}")
        self.status = status
        self.word = word
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = members


def problem_response(problem: ProblemError) -> JSONResponse:
    """The response that carries the problem."""
    body: dict[str, Any] = {
        "type": TYPE_BASE + problem.word,
        "title": problem.word.replace("-", " "),
        "status": problem.status,
        "detail": problem.detail,
        **problem.members,
    }
    return JSONResponse(
        body, status_code=problem.status, headers=problem.headers, media_type="application/problem+json"
    )
