"""An RTSP server of GStreamer for tests, run by the system's Python: ``rtsp_server.py PORT [USER PASSWORD]``.

``/h264``, ``/mjpeg`` and ``/small`` are test pictures, ``/photo`` a shipped photo, at 10 frames a second.
``/h264-resized`` and ``/mjpeg-resized`` change from 320x176 to 480x360 and back, every second and in the middle of the
stream, as cameras do whose settings somebody changes.
Debian's gir1.2-gst-rtsp-server-1.0, python3-gi, gstreamer1.0-plugins-good and -ugly bring what it needs.
"""

import itertools
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
# parameter sets come with every key frame: a reader of a running stream learns of a new size nowhere else
H264 = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=5 ! rtph264pay name=pay0 pt=96 config-interval=-1"
MJPEG = "jpegenc quality=90 ! rtpjpegpay name=pay0 pt=26"
SIZES = ("320,height=176", "480,height=360")
CAPS = "video/x-raw,format=I420,width={size},framerate=10/1"
RESIZED = f"videotestsrc is-live=true pattern=ball ! capsfilter name=size caps={CAPS.format(size=SIZES[0])} ! "
PIPELINES = {
    "/h264": SOURCE.format(size="640,height=360") + " ! " + H264,
    "/mjpeg": SOURCE.format(size="640,height=360") + " ! " + MJPEG,
    "/photo": PHOTO + " ! " + H264,
    "/small": SOURCE.format(size="320,height=180") + " ! " + H264,
    "/h264-resized": RESIZED + H264,
    "/mjpeg-resized": RESIZED + MJPEG,
}


def resize_again_and_again(_factory: GstRtspServer.RTSPMediaFactory, media: GstRtspServer.RTSPMedia) -> None:
    """Change a running stream's size every second, for as long as it is prepared."""
    element = media.get_element().get_by_name_recurse_up("size")
    sizes = itertools.cycle(reversed(SIZES))

    def change() -> bool:
        if media.get_status() in {GstRtspServer.RTSPMediaStatus.UNPREPARED, GstRtspServer.RTSPMediaStatus.ERROR}:
            return False
        element.set_property("caps", Gst.Caps.from_string(CAPS.format(size=next(sizes))))
        return True

    GLib.timeout_add_seconds(1, change)


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
        if path.endswith("-resized"):
            factory.connect("media-configure", resize_again_and_again)
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
