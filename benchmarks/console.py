"""How long people wait at the console: an upload's first answer, and the next picture of a slider.

``python -m benchmarks.console`` starts an encoder, a decoder and a console as processes of this machine, sends pictures
of 1 Mpx as a browser does and fetches what the page shows: the part of the page with the figures, then the picture.
"""

from __future__ import annotations

import io
import os
import re
import statistics
import time
from contextlib import ExitStack

import httpx
from PIL import Image

from benchmarks.command import command
from benchmarks.picture import photo_like
from manypath_cli.service_process import ServiceProcess

_WIDTH, _HEIGHT = 1152, 896  # 1.03 Mpx
_HTMX = {"hx-request": "true"}


def jpeg(seed: int) -> bytes:
    """Return a picture of 1 Mpx as a camera's JPEG; each seed has its own, so that nothing is kept of it."""
    file = io.BytesIO()
    Image.fromarray(photo_like(_HEIGHT, _WIDTH, seed)).save(file, "JPEG", quality=92)
    return file.getvalue()


def shown(http: httpx.Client, part: httpx.Response) -> str:
    """Fetch the picture that a part of the page shows; return its picture's id."""
    part.raise_for_status()
    address = re.search(r'src="(/pictures/([\w-]+)/rendition\.png[^"]*)"', part.text)
    if address is None:
        raise RuntimeError("the page shows no picture")
    http.get(address[1].replace("&amp;", "&")).raise_for_status()
    return address[2]


def main() -> None:
    """Print medians and extremes in milliseconds."""
    parser = command("console", __doc__)
    parser.add_argument("--repeat", type=int, default=5, help="pictures (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="of encoder and decoder (default: %(default)s)")
    args = parser.parse_args()
    first: list[float] = []
    next_share: list[float] = []
    next_path: list[float] = []
    next_quality: list[float] = []
    with ExitStack() as ends:
        given = {"model": args.model, "threads": args.threads}
        encoder = ends.enter_context(ServiceProcess("encoder", given))
        decoder = ends.enter_context(ServiceProcess("decoder", given))
        for process in (encoder, decoder):
            process.wait_ready()
        console = ends.enter_context(ServiceProcess("console", {"encoder": encoder.target, "decoder": decoder.target}))
        http = ends.enter_context(httpx.Client(base_url=f"http://localhost:{console.ports().grpc}", timeout=120))
        for number in range(args.repeat + 1):  # the first warms everything up
            content = jpeg(number)
            started = time.perf_counter()
            part = http.post("/pictures", files={"file": ("a.jpg", content)}, data={"path": "mse"}, headers=_HTMX)
            picture = shown(http, part)
            seconds = [time.perf_counter() - started]
            for change in ({"share": "0.6"}, {"path": "segmentation"}, {"quality": "5"}):
                started = time.perf_counter()
                query = {"picture": picture, "path": "mse"} | change
                shown(http, http.get("/view", params=query, headers=_HTMX))
                seconds.append(time.perf_counter() - started)
            if number:
                for kept, spent in zip((first, next_share, next_path, next_quality), seconds, strict=True):
                    kept.append(spent)
    load = os.getloadavg()[0]
    print(f"{_WIDTH}x{_HEIGHT}, {args.repeat} pictures, {args.threads} threads, load of the machine {load:.1f}")
    for name, kept in (
        ("an upload's first answer", first),
        ("another share: a decode", next_share),
        ("another path: a decode", next_path),
        ("another quality: an encode and a decode", next_quality),
    ):
        print(
            f"{name:<42}{1000 * statistics.median(kept):8.0f} ms   ({1000 * min(kept):.0f} to {1000 * max(kept):.0f})"
        )


if __name__ == "__main__":
    main()
