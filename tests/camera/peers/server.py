"""ipycam, a network camera by other people, showing grey pictures; run by its own environment's Python.

``server.py HTTP_PORT RTSP_PORT [USER PASSWORD]``: 0 takes free ports; both are printed when everything is served. The
grey rises by 40 with each second, from 20 to 220, and begins anew; it serves /snapshot.jpg and /stream.mjpeg by HTTP,
with a password where one is given, and /video_main by RTSP, always without.
"""

import os
import socket
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import imageio_ffmpeg
import numpy as np

WIDTH, HEIGHT, RATE = 320, 240, 10
GREYS = range(20, 221, 40)


def free_ports(*wanted: int) -> list[int]:
    """Return each port, and one that is free now instead of 0: the camera cannot choose by itself."""
    with ExitStack() as ends:
        held = [ends.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in wanted]
        return [port or one.getsockname()[1] for port, one in zip(wanted, held, strict=True)]


def main() -> None:
    """Serve until killed; print both ports."""
    http_port, rtsp_port, *login = sys.argv[1:]
    programs = Path(tempfile.mkdtemp())
    (programs / "ffmpeg").symlink_to(imageio_ffmpeg.get_ffmpeg_exe())  # it asks the path for one
    os.environ["PATH"] = f"{programs}:{os.environ['PATH']}"
    from ipycam import CameraConfig, IPCamera

    ports = free_ports(int(http_port), int(rtsp_port), 0)
    size = {"main_width": WIDTH, "main_height": HEIGHT, "sub_width": WIDTH, "sub_height": HEIGHT}
    config = CameraConfig(
        local_ip="127.0.0.1",
        onvif_port=ports[0],
        rtsp_port=ports[1],
        go2rtc_api_port=ports[2],  # another server that it would prefer; nobody is there
        main_fps=RATE,
        sub_fps=RATE,
        show_timestamp=False,
        **size,
    )
    if login:
        config.set_credentials(*login)
    camera = IPCamera(config)
    if not camera.start():
        sys.exit("ipycam did not start")
    begun = time.monotonic()
    told = False
    while True:
        grey = GREYS[int(time.monotonic() - begun) % len(GREYS)]
        camera.stream(np.full((HEIGHT, WIDTH, 3), grey, np.uint8))
        if not told:
            print(*ports[:2], flush=True)
            told = True


if __name__ == "__main__":
    main()
