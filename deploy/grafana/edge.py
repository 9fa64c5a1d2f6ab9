"""Edge: cameras, what waits on disk, and the link."""

from __future__ import annotations

from deploy.grafana.panels import Board, Kind, Panel, Query, Row, gauge, rate

_CAMERAS = Row(
    "Cameras",
    [
        Panel(
            "Age of the last frame",
            "Seconds since a camera gave one. Runbook, ManypathCameraSilent.",
            "s",
            [Query(f"max by (job, camera) ({gauge('manypath_camera_frame_age_seconds')})", "{{camera}}")],
            bad_from=60,
        ),
        Panel(
            "State",
            "1 is connected; the log has one line for each change.",
            "none",
            [Query(f"max by (camera) ({gauge('manypath_camera_connected')})", "{{camera}}")],
            kind=Kind.STAT,
        ),
        Panel(
            "Frames",
            "Taken from cameras, and skipped because a newer one came before the older was sent.",
            "cps",
            [
                Query(f"sum by (camera) ({rate('manypath_camera_frames_total')})", "{{camera}} taken"),
                Query(f"sum by (camera) ({rate('manypath_camera_skipped_total')})", "{{camera}} skipped"),
            ],
        ),
        Panel(
            "Reconnections",
            "A camera that comes and goes has a bad cable or too little power.",
            "cps",
            [Query(f"sum by (camera) ({rate('manypath_camera_reconnects_total')})", "{{camera}}")],
        ),
    ],
)
_SPOOL = Row(
    "Spool and link",
    [
        Panel(
            "Frames that wait on disk",
            "Few and young is normal; many and old is an uplink that is away or too thin.",
            "short",
            [Query(f"sum by (job, instance) ({gauge('manypath_spool_items')})", "{{job}} {{instance}}")],
        ),
        Panel(
            "Bytes on disk",
            "Against the limit of the settings. Runbook, ManypathSpoolFilling.",
            "bytes",
            [
                Query(f"sum by (job, instance) ({gauge('manypath_spool_bytes')})", "{{job}} {{instance}}"),
                Query(f"max by (job, instance) ({gauge('manypath_spool_limit_bytes')})", "limit of {{instance}}"),
            ],
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
            [Query(f"sum by (reason) ({rate('manypath_spool_dropped_total')})", "{{reason}}")],
        ),
    ],
)

BOARD = Board(
    "manypath-edge",
    "Manypath: edge",
    "For whoever owns the cameras: which of them give frames, and whether the link takes them.",
    "manypath_spool_items",
    [_CAMERAS, _SPOOL],
)
