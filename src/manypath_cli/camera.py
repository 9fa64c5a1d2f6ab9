"""``manypath camera``: frames of real cameras to the encoder, and through it to whoever asked for answers."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manypath_cli.camera_tracing import frame_tracer
from manypath_cli.exits import UsageError

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    import grpc

    from manypath_api.v1 import codec_pb2 as pb
    from manypath_camera.agent import CameraClient
    from manypath_camera.configuration import Configuration, WatchedFile

_DESCRIPTION = """\
Take frames from cameras, keep them on disk until the encoder has them, and go on for ever: cameras and encoders may
come and go. One camera is described by options; several by a YAML file, which is watched: cameras are added, changed
and removed while it runs. With --uplink an encoder is started here as well, whose spool keeps what is encoded until the
decoder has it; without, an encoder is expected at --encoder.
"""

_EXAMPLES = """\
examples:
  manypath camera --demo --uplink cloud.example:50052         shipped photos as a camera
  manypath camera --source rtsp://user:password@10.0.0.5/stream1 --every 2 --daily-quota 200MB --task classification
  manypath camera --source http://10.0.0.5/snapshot.jpg --on-change 0.02 --quality 3
  manypath camera --source http://10.0.0.5/snapshot.jpg --object person     (manypath lab detector install, once)
  manypath camera --source http://10.0.0.5/snapshot.jpg --object person --quality 5 --otherwise-quality 1
  manypath camera --source /srv/ftp/gate --after delete       every picture that comes into a folder
  manypath camera cameras.yaml --spool /var/lib/manypath/camera

a file of cameras:
  encoder: localhost:50051
  rate: {daily_quota: 500MB}      # shared by all cameras without a rate of their own
  tasks: [classification]
  cameras:
    gate:
      source: rtsp://user:password@10.0.0.5/stream1
      every: 2
      on_change: 0.02
      objects: {classes: [person, dog], min_score: 0.4, linger: 5}   # only frames that show one, and 5 s after
      masks: [[[0, 0], [0.3, 0], [0.3, 0.25], [0, 0.25]]]    # the neighbour's window stays here
    yard: {source: http://10.0.0.6/snapshot.jpg, every: 10, rate: {quality: 5}}
"""
_LOOK_SECONDS = 1.0


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "camera",
        help="frames of cameras to the encoder, kept on disk meanwhile",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="YAML file of cameras, which is watched")
    one = parser.add_argument_group("one camera, in place of a file")
    one.add_argument("--source", metavar="ADDRESS", help="rtsp://, http(s)://, a folder, a video file, /dev/video0")
    one.add_argument("--demo", action="store_true", help="the shipped photos as a camera")
    one.add_argument("--name", default="camera", help="of the camera (default: %(default)s)")
    one.add_argument("--every", type=float, default=1.0, metavar="SECONDS", help="between two frames (default: 1)")
    one.add_argument(
        "--on-change", type=float, default=0.0, metavar="SHARE", help="of the picture that must have changed"
    )
    one.add_argument(
        "--object",
        action="append",
        default=[],
        metavar="CLASS",
        help="send only frames that show it, as a detector on this machine sees them: person, car, dog ...; repeatable",
    )
    one.add_argument(
        "--otherwise-quality",
        type=float,
        metavar="QUALITY",
        help="with --object: send the other frames as well, at this quality (default: they are not sent)",
    )
    one.add_argument("--after", choices=("keep", "delete"), default="keep", help="what becomes of a folder's files")
    one.add_argument("--task", action="append", default=[], metavar="NAME", help="asked about each frame; repeatable")
    one.add_argument("--path", action="append", default=[], metavar="NAME", help="picture wanted; repeatable")
    rate = one.add_mutually_exclusive_group()
    rate.add_argument("--quality", type=float, help="1..8 (default: 4)")
    rate.add_argument("--max-bytes", metavar="SIZE", help="of each frame, as 20kB")
    rate.add_argument("--bpp", type=float, help="bits per pixel of each frame")
    rate.add_argument("--link", type=float, metavar="BITS", help="bits a second that may be spent")
    rate.add_argument("--daily-quota", metavar="SIZE", help="that may be spent in any 24 hours, as 200MB")
    one.add_argument(
        "--effort",
        type=int,
        default=0,
        metavar="N",
        help="time spent on each frame: 0, 1, 2 or 3 (default: %(default)s)",
    )
    parser.add_argument("--encoder", metavar="HOST:PORT", help="encoder to send to (default: localhost:50051)")
    parser.add_argument("--uplink", metavar="HOST:PORT", help="decoder; an encoder is started here that sends there")
    parser.add_argument("--model", default="edge", help="of that encoder (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of that encoder (default: %(default)s)")
    parser.add_argument(
        "--spool", type=Path, metavar="DIR", help="where frames are kept (default: in your state folder)"
    )
    parser.add_argument(
        "--answers", metavar="FILE", help="append answers of the tasks as JSON lines; - is the terminal"
    )
    parser.add_argument(
        "--metrics-host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="of the port with /metrics, /ready and /live (default: %(default)s)",
    )
    parser.add_argument("--metrics-port", type=int, default=9104, help="0 takes a free one (default: %(default)s)")
    parser.add_argument(
        "--tracing",
        metavar="URL",
        help='OpenTelemetry collector that the spans of frames go to, as "http://host:4317"; needs the extra tracing',
    )
    parser.add_argument(
        "--tracing-ratio", type=float, default=1.0, metavar="SHARE", help="of frames that are traced (default: all)"
    )
    secure = parser.add_argument_group("the encoder over TLS")
    secure.add_argument("--tls", action="store_true", help="use TLS; the options below do so as well")
    secure.add_argument("--tls-ca", type=Path, metavar="FILE", help="authorities of its certificate; else the system's")
    secure.add_argument("--tls-certificate", type=Path, metavar="FILE", help="own certificate, where it asks for one")
    secure.add_argument("--tls-key", type=Path, metavar="FILE", help="its private key")
    secure.add_argument("--token-file", type=Path, metavar="FILE", help="holds the token that it wants")
    parser.set_defaults(func=camera)


def camera(args: argparse.Namespace) -> int:
    """Run cameras until a signal.

    Raises:
        UsageError: options or the file ask for what cannot be.
        ServiceProcessError: the encoder of ``--uplink`` does not start.
    """
    from manypath_camera.errors import CameraError

    try:
        configuration, watched = _configuration(args)
        with ExitStack() as ends:
            folder = args.spool or _state_folder()
            if args.uplink:
                encoder = ends.enter_context(_own_encoder(args, folder))
                configuration = configuration.model_copy(update={"encoder": encoder.target})
            asyncio.run(_run(args, configuration, watched, folder / "frames"))
    except CameraError as err:
        raise UsageError(str(err)) from err
    return 0


def _configuration(args: argparse.Namespace) -> tuple[Configuration, WatchedFile | None]:
    from manypath_camera.configuration import Configuration, WatchedFile

    given = [bool(args.file), bool(args.source), args.demo]
    if sum(given) != 1:
        raise UsageError("give one of a FILE of cameras, --source and --demo; manypath camera --help shows examples")
    if args.file:
        watched = WatchedFile(args.file)
        return _with_options(args, watched.read()), watched
    rate: dict[str, Any] = {
        "quality": args.quality,
        "max_bytes": args.max_bytes,
        "bpp": args.bpp,
        "link": None if args.link is None else {"bits_per_second": args.link},
        "daily_quota": args.daily_quota,
    }
    chosen = {name: value for name, value in rate.items() if value is not None} or {"quality": 4.0}
    chosen["effort"] = args.effort
    one = {
        "source": "demo:" if args.demo else args.source,
        "every": args.every,
        "on_change": args.on_change,
        "after": args.after,
        "objects": _objects(args),
    }
    whole = {"rate": chosen, "tasks": args.task, "pictures": args.path, "cameras": {args.name: one}}
    from pydantic import ValidationError

    try:
        return _with_options(args, Configuration.model_validate(whole)), None
    except ValidationError as err:
        raise UsageError("; ".join(f"{problem['loc'][-1]}: {problem['msg']}" for problem in err.errors())) from err


def _objects(args: argparse.Namespace) -> dict[str, Any] | None:
    if not args.object:
        if args.otherwise_quality is not None:
            raise UsageError("--otherwise-quality is for frames without an --object; name one")
        return None
    otherwise = None if args.otherwise_quality is None else {"quality": args.otherwise_quality}
    return {"classes": args.object, "otherwise": otherwise}


def _with_options(args: argparse.Namespace, configuration: Configuration) -> Configuration:
    update: dict[str, Any] = {}
    if args.encoder:
        update["encoder"] = args.encoder
    if args.answers:
        update["answers"] = True
    return configuration.model_copy(update=update)


def _state_folder() -> Path:
    base = os.environ.get("STATE_DIRECTORY") or os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "manypath" / "camera"


def _own_encoder(args: argparse.Namespace, folder: Path) -> Any:
    from manypath_cli.service_process import ServiceProcess

    traced = {"tracing": args.tracing} if args.tracing else {}
    return ServiceProcess(
        "encoder",
        {"model": args.model, "threads": args.threads, "uplink": args.uplink, "spool": folder / "uplink", **traced},
    )


async def _run(
    args: argparse.Namespace, configuration: Configuration, watched: WatchedFile | None, folder: Path
) -> None:
    from manypath_camera.agent import CameraClient
    from manypath_camera.camera import untraced
    from manypath_camera.camera_metrics import CameraMetrics
    from manypath_camera.sender import SenderState
    from manypath_services.common import logs
    from manypath_services.common.client import ENCODER_SERVICE, connect
    from manypath_services.common.metrics_server import MetricsServer

    logs.configure("camera", "INFO")
    metrics = CameraMetrics()
    credentials = _credentials(args)
    with ExitStack() as ends:
        write = _answer_writer(args.answers, ends)

        async def on_answer(answer: pb.FrameAnswer) -> None:
            if write is not None and answer.HasField("analyzed"):
                write(client.spool.session, answer)

        client = CameraClient(
            folder,
            configuration,
            lambda target: connect(target, ENCODER_SERVICE, stream=True, credentials=credentials()),
            tracer=ends.enter_context(frame_tracer(args.tracing, args.tracing_ratio)) if args.tracing else untraced,
            on_answer=on_answer,
            on_encoded=metrics.encoded,
        )
        metrics.watch(client.spool, client.sender, lambda: client.cameras)
        running = asyncio.create_task(client.run())
        server = MetricsServer(
            metrics,
            args.metrics_host,
            args.metrics_port,
            ready=lambda: client.sender.state is SenderState.OPEN,
            live=lambda: not running.done(),
        )
        page = f"http://{args.metrics_host}:{server.port}/metrics"
        print(f"manypath camera: metrics at {page}", file=sys.stderr, flush=True)
        watching = asyncio.create_task(_follow(args, client, watched))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, running.cancel)
        try:
            await running
        except asyncio.CancelledError:
            pass
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await asyncio.to_thread(server.close)


def _credentials(args: argparse.Namespace) -> Callable[[], grpc.ChannelCredentials | None]:
    """Return what gives each new connection its credentials, from the newest files.

    Raises:
        UsageError: the files cannot be used.
    """
    files = (args.tls_certificate, args.tls_key, args.tls_ca)
    if not (args.tls or args.token_file or any(files)):
        return lambda: None
    from manypath_services.common.errors import TlsError, TokenFileError
    from manypath_services.common.settings import CertificateFiles
    from manypath_services.common.tls import RenewedCertificates, client_credentials
    from manypath_services.common.tokens import call_credentials

    if (args.tls_certificate is None) != (args.tls_key is None):
        raise UsageError("--tls-certificate and --tls-key belong together; give both, or neither")
    try:
        certificates = RenewedCertificates(CertificateFiles(*files))
        token = None if args.token_file is None else call_credentials(args.token_file)
    except (TlsError, TokenFileError) as err:
        raise UsageError(str(err)) from err
    return lambda: client_credentials(certificates, token)


async def _follow(args: argparse.Namespace, client: CameraClient, watched: WatchedFile | None) -> None:
    """Apply the file whenever it changes; one that makes no sense leaves the old in use."""
    from manypath_camera.errors import ConfigurationError

    while watched is not None:
        await asyncio.sleep(_LOOK_SECONDS)
        if not await asyncio.to_thread(watched.changed):
            continue
        try:
            configuration = _with_options(args, await asyncio.to_thread(watched.read))
        except ConfigurationError as err:
            print(f"manypath camera: the old cameras go on: {err}", file=sys.stderr, flush=True)
            continue
        if args.uplink:
            configuration = configuration.model_copy(update={"encoder": client.configuration.encoder})
        await asyncio.to_thread(client.apply, configuration)


def _answer_writer(file: str | None, ends: ExitStack) -> Callable[[str, pb.FrameAnswer], None] | None:
    """Return what takes a session and an answer to one of its frames.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    from manypath_camera.answer_log import AnswerLog, as_line

    if file is None:
        return None
    if file == "-":
        return lambda session, answer: print(as_line(session, answer), flush=True)
    log = AnswerLog(Path(file))
    ends.callback(log.close)
    return log.write
