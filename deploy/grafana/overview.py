"""Overview: what callers feel, and what is saved on the way."""

from __future__ import annotations

from deploy.grafana.panels import BPP, PIXELS, Board, Kind, Panel, Query, Row, gauge, mean, quantile, rate

FAULTS = "INTERNAL|UNKNOWN|UNAVAILABLE|DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED|DATA_LOSS"
"""Statuses that are the service's fault, or that of what it needs; a caller's mistakes are not among them."""
_FAULT = f'grpc_code=~"{FAULTS}"'
_FAILED = 'grpc_code!="OK"'
_ENCODER = 'job=~".*encoder.*"'
_ENDED = "grpc_server_handled_total"

_FEEL = Row(
    "What callers feel",
    [
        Panel(
            "Requests",
            "Calls that ended, by service and method. A step down to nothing is an outage before the service; "
            "look at Edge.",
            "reqps",
            [Query(f"sum by (job, grpc_method) ({rate(_ENDED)})", "{{job}} {{grpc_method}}")],
        ),
        Panel(
            "Calls that failed",
            "By status. INVALID_ARGUMENT, FAILED_PRECONDITION and NOT_FOUND are callers' mistakes, "
            "RESOURCE_EXHAUSTED is load, "
            "the rest is ours: runbook, ManypathErrorRatio.",
            "reqps",
            [
                Query(
                    f"sum by (job, grpc_code) ({rate(_ENDED, _FAILED)})",
                    "{{job}} {{grpc_code}}",
                )
            ],
        ),
        Panel(
            "Share of calls that we failed",
            "Faults of the service, of all calls; the alert looks at 5 minutes and at an hour.",
            "percentunit",
            [
                Query(
                    f"(sum by (job) ({rate(_ENDED, _FAULT)}) "
                    f"or 0 * sum by (job) ({rate(_ENDED)})) "
                    f"/ sum by (job) ({rate(_ENDED)})",
                    "{{job}}",
                )
            ],
            bad_from=0.01,
        ),
        *(
            Panel(
                f"Time of a call, p{percent}",
                f"{percent} of 100 calls took at most this long, from arrival to end. Points lead to traces "
                "where tracing is on. "
                "Where it grows, Saturation says whether calls wait or compute.",
                "s",
                [
                    Query(
                        quantile(percent / 100, "grpc_server_handling_seconds", "job, grpc_method"),
                        "{{job}} {{grpc_method}}",
                        exemplars=True,
                    )
                ],
                bad_from=5,
            )
            for percent in (50, 95, 99)
        ),
    ],
)
_SAVED = Row(
    "What is saved",
    [
        Panel(
            "Bits a pixel",
            "Mean over pictures. It follows what callers ask for: quality, bytes or a budget.",
            BPP,
            [Query(mean("manypath_codec_rate_bpp", "job"), "{{job}}")],
        ),
        Panel(
            "Bytes into and out of the encoders",
            "What cameras sent and what leaves for the decoders: the uplink carries the lower line.",
            "Bps",
            [
                Query(f"sum({rate('manypath_codec_input_bytes_total', _ENCODER)})", "pictures in"),
                Query(f"sum({rate('manypath_codec_output_bytes_total', _ENCODER)})", "bitstreams out"),
            ],
        ),
        Panel(
            "Share of bytes saved",
            "Of what cameras sent. Pictures that came raw save more than those that came as JPEG.",
            "percentunit",
            [
                Query(
                    f"1 - sum({rate('manypath_codec_output_bytes_total', _ENCODER)}) "
                    f"/ sum({rate('manypath_codec_input_bytes_total', _ENCODER)})",
                    "saved",
                )
            ],
        ),
        Panel(
            "Pixels",
            "Work done, whatever the pictures' sizes are.",
            PIXELS,
            [Query(f"sum by (job) ({rate('manypath_codec_input_pixels_total')})", "{{job}}")],
        ),
        Panel(
            "What runs",
            "Version, model and device of each replica. Two digests at once are a rollout; streams of one are "
            "refused by the other.",
            "none",
            [Query(gauge("manypath_build_info"))],
            kind=Kind.TABLE,
            width=16,
        ),
    ],
)

BOARD = Board(
    "manypath-overview",
    "Manypath: overview",
    "For whoever asks whether it works: requests, errors and times, and what the codec saves.",
    "grpc_server_started_total",
    [_FEEL, _SAVED],
)
