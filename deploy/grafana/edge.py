"""Edge: cameras, what waits on disk, and the link."""

from __future__ import annotations

from deploy.grafana.panels import BPP, Board, Kind, Panel, Query, Row, gauge, mean, quantile, rate

_ENCODED, _ORIGINAL = "manypath_camera_encoded_bytes_total", "manypath_camera_original_bytes_total"

_LIVE = 'state="live"'

_CAMERAS = Row(
    "Cameras",
    [
        Panel(
            "Age of the newest frame",
            "Seconds since a camera gave one. Runbook, ManypathFrameAge.",
            "s",
            [Query(f"max by (job, camera) ({gauge('manypath_camera_last_frame_age_seconds')})", "{{camera}}")],
            bad_from=60,
        ),
        Panel(
            "Live",
            "1 gives frames, 0 is being connected or waited for; the log has a line for each change, with the reason.",
            "none",
            [Query(f"max by (camera) ({gauge('manypath_camera_state', _LIVE)})", "{{camera}}")],
            kind=Kind.STAT,
        ),
        Panel(
            "Frames",
            "That cameras gave, and those that a newer one replaced before one was due.",
            "cps",
            [
                Query(f"sum by (camera) ({rate('manypath_camera_frames_arrived_total')})", "{{camera}} arrived"),
                Query(f"sum by (camera) ({rate('manypath_camera_frames_skipped_total')})", "{{camera}} skipped"),
            ],
        ),
        Panel(
            "What became of frames that were due",
            "Sent, or left out: unchanged, without the wanted objects, or beyond the budget.",
            "cps",
            [Query(f"sum by (outcome) ({rate('manypath_camera_frames_due_total')})", "{{outcome}}")],
            kind=Kind.STACK,
        ),
        Panel(
            "From capture to safe at the edge, p95",
            "Until a frame is encoded and on disk. Where it grows, the edge has too little processor.",
            "s",
            [Query(quantile(0.95, "manypath_camera_encoded_age_seconds", "camera"), "{{camera}}")],
        ),
        Panel(
            "Reconnections",
            "A camera that comes and goes has a bad cable or too little power.",
            "cps",
            [Query(f"sum by (camera) ({rate('manypath_camera_reconnects_total')})", "{{camera}}")],
        ),
        Panel(
            "Bits a pixel",
            "Mean of each camera. Noise at night costs bits.",
            BPP,
            [Query(mean("manypath_camera_bpp", "camera"), "{{camera}}")],
            width=12,
        ),
        Panel(
            "Share of the original's bytes",
            "What is left of what cameras gave.",
            "percentunit",
            [
                Query(
                    f"sum by (camera) ({rate(_ENCODED)}) / sum by (camera) ({rate(_ORIGINAL)})",
                    "{{camera}}",
                )
            ],
            width=12,
        ),
    ],
)
_SPOOL = Row(
    "Spool",
    [
        Panel(
            "Frames that wait on disk",
            "Few and young is normal; many and old is a link that is away or too thin.",
            "short",
            [Query(f"sum by (job, instance) ({gauge('manypath_spool_items')})", "{{job}} {{instance}}")],
        ),
        Panel(
            "Disk used, of its limit",
            "At 1 frames are dropped, by the policy of the settings. Runbook, ManypathSpoolFilling.",
            "percentunit",
            [
                Query(
                    f"max by (job, instance) ({gauge('manypath_spool_bytes')}) "
                    f"/ max by (job, instance) ({gauge('manypath_spool_limit_bytes')})",
                    "{{job}} {{instance}}",
                )
            ],
            bad_from=0.8,
        ),
        Panel(
            "Age of the oldest frame",
            "How far behind the link is. Runbook, ManypathSpoolOld.",
            "s",
            [Query(f"max by (job, instance) ({gauge('manypath_spool_oldest_age_seconds')})", "{{job}} {{instance}}")],
            bad_from=600,
        ),
        Panel(
            "Frames dropped",
            "By reason: each is gone for good. Runbook, ManypathFramesDropped.",
            "cps",
            [Query(f"sum by (job, reason) ({rate('manypath_spool_dropped_total')})", "{{job}} {{reason}}")],
            width=12,
        ),
        Panel(
            "Frames that receivers took",
            "Encoder and decoder, by outcome: `repeated` came a second time and counted once, `postponed` come again.",
            "cps",
            [Query(f"sum by (job, outcome) ({rate('manypath_stream_frames_total')})", "{{job}} {{outcome}}")],
            width=12,
        ),
    ],
)
_LINK = Row(
    "Link",
    [
        Panel(
            "Streams that are open",
            "1 is a stream to the next server: from camera to encoder, from encoder to decoder.",
            "none",
            [Query(f"min by (job, instance) ({gauge('manypath_uplink_open')})", "{{job}} {{instance}}")],
        ),
        Panel(
            "Bytes sent",
            "Frames sent again included.",
            "Bps",
            [Query(f"sum by (job, instance) ({rate('manypath_uplink_sent_bytes_total')})", "{{job}} {{instance}}")],
        ),
        Panel(
            "Attempts that failed",
            "To open a stream, or to keep it. Tried again for ever, 30 s apart at most.",
            "cps",
            [Query(f"sum by (job, instance) ({rate('manypath_uplink_failures_total')})", "{{job}} {{instance}}")],
        ),
    ],
)

BOARD = Board(
    "manypath-edge",
    "Manypath: edge",
    "For whoever owns the cameras: which of them give frames, and whether the link takes them.",
    "manypath_spool_items",
    [_CAMERAS, _SPOOL, _LINK],
)
