"""An RTSP server of GStreamer for tests, run by the system's Python: ``rtsp_server.py PORT [USER PASSWORD]``.

``/h264``, ``/mjpeg`` and ``/small`` are test pictures, ``/photo`` a shipped photo, at 10 frames
a second.
Debian's gir1.2-gst-rtsp-server-1.0, python3-gi, gstreamer1.0-plugins-good and -ugly bring what it needs.
"""

import sys
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

SOURCE = "videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width={size},framerate=10/1"
_PHOTO_FILE = Path(__file__).resolve().parents[2] / "services/manypath_services/console/photos/pagoda.jpg"
PHOTO = (
    f"filesrc location={_PHOTO_FILE} ! jpegdec ! videoconvert ! videoscale "
    "! video/x-raw,format=I420,width=640,height=360 ! imagefreeze is-live=true ! video/x-raw,framerate=10/1"
)
H264 = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=5 ! rtph264pay name=pay0 pt=96"
PIPELINES = {
    "/h264": SOURCE.format(size="640,height=360") + " ! " + H264,
    "/mjpeg": SOURCE.format(size="640,height=360") + " ! jpegenc quality=90 ! rtpjpegpay name=pay0 pt=26",
    "/photo": PHOTO + " ! " + H264,
    "/small": SOURCE.format(size="320,height=180") + " ! " + H264,
}


def main() -> None:
    """Serve until killed; print the port."""
    port, *login = sys.argv[1:]
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    for path, pipeline in PIPELINES.items():
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(f"( {pipeline} )")
        factory.set_shared(True)
        if login:
            permissions = GstRtspServer.RTSPPermissions.new()
            permissions.add_role("viewer")
            permissions.add_permission_for_role("viewer", GstRtspServer.RTSP_PERM_MEDIA_FACTORY_ACCESS, True)
            permissions.add_permission_for_role("viewer", GstRtspServer.RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, True)
            factory.set_permissions(permissions)
        server.get_mount_points().add_factory(path, factory)
    if login:
        auth = GstRtspServer.RTSPAuth()

        token = GstRtspServer.RTSPToken.new()
        token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "viewer")
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(*login), token)
        server.set_auth(auth)
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
