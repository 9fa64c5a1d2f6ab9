"""Codec: what pictures cost in bits and seconds, and which streams are refused."""

from __future__ import annotations

from deploy.grafana.panels import BPP, Board, Kind, Panel, Query, Row, gauge, mean, quantile, rate

_RATE = "manypath_codec_rate_bpp"

_BITS = Row(
    "Bits",
    [
        Panel(
            "Bits a pixel, all pictures",
            "How many pictures a second fell into each range. Two bands are two kinds of callers, or of cameras.",
            BPP,
            [Query(f"sum by (le) ({rate(f'{_RATE}_bucket')})", "{{le}}")],
            kind=Kind.HEATMAP,
        ),
        Panel(
            "Bits a pixel by path",
            "Mean of the streams that each path decoded; `none` is what encoders wrote.",
            BPP,
            [Query(mean(_RATE, "path"), "{{path}}")],
        ),
        Panel(
            "Bits a pixel by quality",
            "Mean at the nearest whole level, 1 to 8. A level that suddenly costs more has met other pictures: "
            "noise, night, rain.",
            BPP,
            [Query(mean(_RATE, "quality"), "quality {{quality}}")],
        ),
        Panel(
            "Pictures by quality",
            "Which levels are asked for, or found by budgets.",
            "cps",
            [Query(f"sum by (quality) ({rate(f'{_RATE}_count')})", "quality {{quality}}")],
            kind=Kind.STACK,
        ),
        Panel(
            "Size of a bitstream",
            "Median and 95th percentile, header included.",
            "bytes",
            [
                Query(quantile(0.5, "manypath_codec_bitstream_bytes", "job"), "{{job}} p50"),
                Query(quantile(0.95, "manypath_codec_bitstream_bytes", "job"), "{{job}} p95"),
            ],
        ),
        Panel(
            "Budget used",
            "Bytes used over bytes asked, where callers gave a budget. Above 1 is a fault of ours: runbook, "
            "ManypathBudgetOverrun.",
            "percentunit",
            [
                Query(quantile(0.5, "manypath_codec_budget_utilization_ratio", ""), "p50"),
                Query(mean("manypath_codec_budget_utilization_ratio", "job"), "{{job}} mean"),
            ],
            bad_from=1.001,
        ),
    ],
)
_SECONDS = Row(
    "Seconds",
    [
        Panel(
            "Where the time goes",
            "Mean seconds of each stage of a request; stacked, they are its time in the service.",
            "s",
            [Query(mean("manypath_codec_stage_duration_seconds", "service, stage"), "{{service}} {{stage}}")],
            kind=Kind.STACK,
            width=12,
        ),
        Panel(
            "Stages, p95",
            "`queue` is waiting, `uplink` and `worker` are other servers, the rest is compute.",
            "s",
            [Query(quantile(0.95, "manypath_codec_stage_duration_seconds", "service, stage"), "{{service}} {{stage}}")],
            width=12,
        ),
        Panel(
            "Workers' networks",
            "Seconds of one request's network, tensors read and written included.",
            "s",
            [
                Query(quantile(0.5, "manypath_worker_inference_seconds", "model, provider"), "{{model}} p50"),
                Query(quantile(0.99, "manypath_worker_inference_seconds", "model, provider"), "{{model}} p99"),
            ],
        ),
        Panel(
            "Calls to other servers",
            "From encoder to decoder and from decoder to workers, by status. Runbook, ManypathWorkerFailing.",
            "reqps",
            [Query(f"sum by (worker, code) ({rate('manypath_downstream_calls_total')})", "{{worker}} {{code}}")],
        ),
        Panel(
            "Seconds until a model was ready",
            "Reading, warming and the self-check, of the newest start of each replica.",
            "s",
            [Query(f"max by (job, instance) ({gauge('manypath_model_load_seconds')})", "{{job}} {{instance}}")],
            kind=Kind.BARS,
        ),
    ],
)
_TRUST = Row(
    "Trust",
    [
        Panel(
            "Streams refused",
            "By reason. `corrupt` and `truncated` are a bad link or disk, `model_mismatch` is another model's "
            "stream, `desync` is a "
            "machine that computes differently: runbook, ManypathStreamsRejected.",
            "cps",
            [Query(f"sum by (reason) ({rate('manypath_codec_bitstream_rejected_total')})", "{{reason}}")],
            width=12,
        ),
        Panel(
            "Self-check failed",
            "1 is a machine that does not decode what it must. It never becomes ready, and goes after a minute.",
            "none",
            [Query(f"max by (job, instance) ({gauge('manypath_codec_selfcheck_mismatch')})", "{{job}} {{instance}}")],
            kind=Kind.STAT,
            width=12,
            bad_from=1,
        ),
    ],
)

BOARD = Board(
    "manypath-codec",
    "Manypath: codec",
    "For whoever chooses qualities and budgets: bits, stages, and streams that were refused.",
    "manypath_build_info",
    [_BITS, _SECONDS, _TRUST],
)
