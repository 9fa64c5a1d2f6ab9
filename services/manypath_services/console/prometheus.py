"""What Prometheus knows of the services: a fixed set of questions, asked in PromQL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import httpx

from manypath_services.console.problems import ProblemError

_TIMEOUT_SECONDS = 5.0
_POINTS = 120  # of a line, from its begin to now


class Question(NamedTuple):
    """One chart.

    Attributes:
        id: of the chart.
        title: for people.
        unit: of the values.
        promql: one line a series; RANGE stands for the window of a rate.
        label: whose value names a line.
    """

    id: str
    title: str
    unit: str
    promql: str
    label: str


QUESTIONS = (
    Question(
        "calls",
        "Calls a second",
        "1/s",
        'sum by (grpc_method) (rate(grpc_server_handled_total{grpc_service=~"manypath_api.*"}[RANGE]))',
        "grpc_method",
    ),
    Question(
        "errors",
        "Share of calls that fail",
        "%",
        # the second half is there for calls that have not failed yet
        'sum by (grpc_method) (100 * rate(grpc_server_handled_total{grpc_service=~"manypath_api.*",grpc_code!="OK"}'
        '[RANGE]) or 0 * rate(grpc_server_handled_total{grpc_service=~"manypath_api.*",grpc_code="OK"}[RANGE])) '
        '/ sum by (grpc_method) (rate(grpc_server_handled_total{grpc_service=~"manypath_api.*"}[RANGE]))',
        "grpc_method",
    ),
    Question(
        "median",
        "Half of the calls take less than",
        "ms",
        "1000 * histogram_quantile(0.5, sum by (le, grpc_method) "
        '(rate(grpc_server_handling_seconds_bucket{grpc_service=~"manypath_api.*"}[RANGE])))',
        "grpc_method",
    ),
    Question(
        "slowest",
        "99 of 100 calls take less than",
        "ms",
        "1000 * histogram_quantile(0.99, sum by (le, grpc_method) "
        '(rate(grpc_server_handling_seconds_bucket{grpc_service=~"manypath_api.*"}[RANGE])))',
        "grpc_method",
    ),
    Question("queue", "Requests waiting for compute", "", "sum by (job) (manypath_queue_depth)", "job"),
    Question(
        "pixels",
        "Throughput",
        "Mpx/s",
        "sum by (job) (rate(manypath_codec_input_pixels_total[RANGE])) / 1e6",
        "job",
    ),
    Question(
        "bpp",
        "Bits per pixel that encoders write",
        "bpp",
        'sum by (quality) (rate(manypath_codec_rate_bpp_sum{path="none"}[RANGE])) '
        '/ sum by (quality) (rate(manypath_codec_rate_bpp_count{path="none"}[RANGE]))',
        "quality",
    ),
)


class Series(NamedTuple):
    """The lines of one chart.

    Attributes:
        times: seconds since 1970.
        lines: by name; None where there is no value.
    """

    times: Sequence[float]
    lines: Mapping[str, Sequence[float | None]]


class Spools(NamedTuple):
    """What waits at the edge, of all spools together.

    Attributes:
        frames: on disk.
        bytes: of them.
        limit_bytes: most that may be.
        oldest_seconds: age of the oldest.
        closed: spools whose way to the receiver is closed.
    """

    frames: float
    bytes: float
    limit_bytes: float
    oldest_seconds: float
    closed: float


_SPOOLS = (  # in the order of Spools
    "sum(manypath_spool_items)",
    "sum(manypath_spool_bytes)",
    "sum(manypath_spool_limit_bytes)",
    "max(manypath_spool_oldest_age_seconds)",
    "count(manypath_uplink_open == 0) or vector(0)",
)


class Prometheus:
    """Asks one Prometheus.

    Args:
        url: e.g. http://localhost:9090.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = httpx.AsyncClient(base_url=url, timeout=_TIMEOUT_SECONDS, trust_env=False)

    async def close(self) -> None:
        """Hang up."""
        await self._client.aclose()

    async def series(self, minutes: int) -> dict[str, Series]:
        """Return the lines of every chart for the last minutes.

        Raises:
            ProblemError: Prometheus cannot be reached, or refuses.
        """
        end = time.time()
        step = max(1.0, 60 * minutes / _POINTS)
        times = [end - step * (_POINTS - number) for number in range(_POINTS + 1)]
        answers = await asyncio.gather(*(self._ask(one, times[0], end, step) for one in QUESTIONS))
        return {
            question.id: Series(times, {name: _aligned(samples, times, step) for name, samples in lines.items()})
            for question, lines in zip(QUESTIONS, answers, strict=True)
        }

    async def spools(self) -> Spools | None:
        """Return what waits at the edge; None where no spool is known.

        Raises:
            ProblemError: Prometheus cannot be reached, or refuses.
        """
        found = await asyncio.gather(*(self._now(promql) for promql in _SPOOLS))
        values = [value for value in found if value is not None]
        return Spools(*values) if len(values) == len(_SPOOLS) else None

    async def _now(self, promql: str) -> float | None:
        found = await self._result("/api/v1/query", {"query": promql})
        return float(found[0]["value"][1]) if found else None

    async def _ask(
        self, question: Question, start: float, end: float, step: float
    ) -> dict[str, list[tuple[float, float]]]:
        window = f"{max(60, round(4 * step))}s"
        promql = question.promql.replace("RANGE", window)
        query = {"query": promql, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        found = await self._result("/api/v1/query_range", query)
        return {
            _line_name(question, one["metric"]): [(float(at), float(value)) for at, value in one["values"]]
            for one in found
        }

    async def _result(self, path: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        try:
            answer = await self._client.get(path, params=query)
            answer.raise_for_status()
            found: list[dict[str, Any]] = answer.json()["data"]["result"]
        except (httpx.HTTPError, httpx.InvalidURL, KeyError, TypeError, ValueError) as err:
            raise ProblemError(
                f"Prometheus at {self._url} does not answer.",
                cure="Start it, or set MANYPATH_CONSOLE_PROMETHEUS to where it is.",
                detail=str(err)[:200],
                status=502,
            ) from err
        return found


def _line_name(question: Question, labels: Mapping[str, str]) -> str:
    value = labels.get(question.label, "all")
    return f"quality {value}" if question.label == "quality" else value


def _aligned(samples: Sequence[tuple[float, float]], times: Sequence[float], step: float) -> list[float | None]:
    """Return a value for each time; Prometheus leaves out those that it does not have."""
    values: list[float | None] = [None] * len(times)
    for at, value in samples:
        place = round((at - times[0]) / step)
        if 0 <= place < len(values) and value == value and abs(value) != float("inf"):  # noqa: PLR0124  (nan)
            values[place] = value
    return values
