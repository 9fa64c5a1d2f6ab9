"""Saturation: what is full, what waits, and what computing costs."""

from __future__ import annotations

from deploy.grafana.panels import Board, Kind, Panel, Query, Row, gauge, mean, quantile, rate

_EXPIRY = "manypath_tls_certificate_expiry_timestamp_seconds"

_QUEUE = Row(
    "Queue",
    [
        Panel(
            "Requests that wait",
            "By replica; autoscaling follows this. A queue that never empties wants replicas, one that jumps "
            "wants nothing.",
            "short",
            [Query(f"sum by (job, instance) ({gauge('manypath_queue_depth')})", "{{job}} {{instance}}")],
            bad_from=24,
        ),
        Panel(
            "Seconds of waiting",
            "Before compute: the part of a call's time that replicas would take away.",
            "s",
            [
                Query(quantile(0.5, "manypath_queue_wait_seconds", "job"), "{{job}} p50"),
                Query(quantile(0.99, "manypath_queue_wait_seconds", "job"), "{{job}} p99"),
            ],
            bad_from=1,
        ),
        Panel(
            "Requests dropped before compute",
            "`queue_full` is load, `expired` and `cancelled` are callers that gave up, `caller_rate` is one "
            "that asks too often. "
            "Runbook, ManypathShedding.",
            "reqps",
            [Query(f"sum by (job, reason) ({rate('manypath_requests_shed_total')})", "{{job}} {{reason}}")],
        ),
        Panel(
            "Requests computed together",
            "Mean size of a batch: what waits and is alike goes together. 1 is a service with time to spare.",
            "short",
            [
                Query(mean("manypath_codec_batch_size", "job"), "{{job}}"),
                Query(mean("manypath_worker_batch_size", "job"), "{{job}}"),
            ],
        ),
        Panel(
            "Age of what is computed now",
            "Seconds since the oldest work under way began. A line that climbs and climbs is work that never ends.",
            "s",
            [Query(f"max by (job, instance) ({gauge('manypath_compute_age_seconds')})", "{{job}} {{instance}}")],
            bad_from=30,
        ),
        Panel(
            "Bytes of requests held",
            "Messages whose calls are under way; beyond a limit of the settings new ones are asked to come again.",
            "bytes",
            [Query(f"sum by (job, instance) ({gauge('manypath_held_bytes')})", "{{job}} {{instance}}")],
        ),
        Panel(
            "Calls under way",
            "Waiting, computing, or waiting for another server.",
            "short",
            [Query(f"sum by (job, instance) ({gauge('manypath_inflight_requests')})", "{{job}} {{instance}}")],
        ),
        Panel(
            "Replicas that serve",
            "Ready, of those that are scraped. Fewer than there should be: runbook, ManypathNoReadyDecoder.",
            "short",
            [Query(f"sum by (job) ({gauge('manypath_ready')})", "{{job}} ready")],
            kind=Kind.STAT,
        ),
        Panel(
            "Days until certificates end",
            "The first of each job; the alert fires at 7.",
            "d",
            [
                Query(
                    f"(min by (job, certificate) ({gauge(_EXPIRY)}) - time()) / 86400",
                    "{{job}} {{certificate}}",
                )
            ],
            kind=Kind.BARS,
        ),
    ],
)
_MACHINE = Row(
    "Machine",
    [
        Panel(
            "Processor",
            "Cores in use by each process. A replica computes on as many as its setting `threads` says.",
            "short",
            [Query(f"sum by (job, instance) ({rate('process_cpu_seconds_total')})", "{{job}} {{instance}}")],
        ),
        Panel(
            "Memory",
            "Resident, by process; compare with the container's limit.",
            "bytes",
            [Query(f"sum by (job, instance) ({gauge('process_resident_memory_bytes')})", "{{job}} {{instance}}")],
        ),
        Panel(
            "Open files",
            "Connections are among them.",
            "short",
            [Query(f"sum by (job, instance) ({gauge('process_open_fds')})", "{{job}} {{instance}}")],
        ),
    ],
)
# NVIDIA's exporter has labels of its own; it watches nodes, not our jobs.
_GPU = Row(
    "GPU (NVIDIA's exporter)",
    [
        Panel(
            "GPU busy",
            "Share of time with a kernel on it, by card. One request at a time drives it to the top: it is not "
            "load. With "
            "time-slicing it cannot be told apart by pod.",
            "percent",
            [Query("avg by (Hostname, gpu) (DCGM_FI_DEV_GPU_UTIL)", "{{Hostname}} {{gpu}}")],
        ),
        Panel(
            "GPU memory",
            "In use, by card: weights, pictures under way, and what PyTorch keeps.",
            "decmbytes",
            [Query("sum by (Hostname, gpu) (DCGM_FI_DEV_FB_USED)", "{{Hostname}} {{gpu}}")],
        ),
        Panel(
            "GPU faults",
            "The last XID error of each card; anything but 0 wants the driver's log.",
            "none",
            [Query("max by (Hostname, gpu) (DCGM_FI_DEV_XID_ERRORS)", "{{Hostname}} {{gpu}}")],
            kind=Kind.STAT,
            bad_from=1,
        ),
    ],
)

BOARD = Board(
    "manypath-saturation",
    "Manypath: saturation",
    "For whoever decides on replicas and limits: queues, drops, processors, memory, GPUs.",
    "manypath_inflight_requests",
    [_QUEUE, _MACHINE, _GPU],
)
