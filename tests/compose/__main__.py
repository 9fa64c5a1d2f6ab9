"""Runs the composed system for real: ``make compose-test``, where a Docker engine with compose is.

It builds the images, starts everything, and looks: a demo camera's frames are answered, also while a decoder is
killed; Prometheus reaches every service and has the rules; a service that hangs is begun anew; nothing is left at the
end. Images that cannot be had are left out by name: ``COMPOSE_TEST_WITHOUT=grafana``;
a busy machine gets more time: ``COMPOSE_TEST_PATIENCE=900``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
SERVICES = (
    *("classifier", "segmenter", "detector", "decoder", "encoder", "camera", "console"),
    *("prometheus", "alertmanager", "grafana"),
)
PATIENCE = float(os.environ.get("COMPOSE_TEST_PATIENCE", "300"))  # seconds, for anything that is waited for
FRAMES = 40  # that must have been answered before a decoder is killed, and again after it
ANSWERS = "/var/lib/manypath/answers.jsonl"
SCRAPED = {
    "manypath-encoder": 1,
    "manypath-decoder": 2,
    "manypath-worker": 3,
    "manypath-camera": 1,
    "manypath-console": 1,
}
BOUNDS = (
    *("HostConfig.Memory", "HostConfig.PidsLimit", "HostConfig.NanoCpus", "HostConfig.ReadonlyRootfs"),
    "Config.User",
)
Found = TypeVar("Found")
_begun = time.monotonic()


def say(text: str) -> None:
    print(f"[{time.monotonic() - _begun:6.1f} s] {text}", flush=True)


def run(*words: str, check: bool = True) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise SystemExit(f"{' '.join(words)}\nended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def compose(*words: str, check: bool = True) -> str:
    files = ["--env-file", DEPLOY / "images.env", "-f", DEPLOY / "compose.yaml", "-p", "manypath-test"]
    return run("docker", "compose", *map(str, files), "--profile", "demo", "--profile", "watch", *words, check=check)


def wait(what: str, look: Callable[[], Found]) -> Found:
    """Return what ``look`` finds, as soon as it is something."""
    until = time.monotonic() + PATIENCE
    while not (found := look()):
        if time.monotonic() > until:
            raise SystemExit(f"within {PATIENCE:.0f} s there was no {what}\n{compose('ps', '-a')}")
        time.sleep(0.5)
    return found


def ask(port: str, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
        return json.load(response)


def value(expression: str) -> float:
    query = urllib.parse.urlencode({"query": expression})
    result = ask(os.environ["PROMETHEUS_PORT"], f"/api/v1/query?{query}")["data"]["result"]
    return float(result[0]["value"][1]) if result else 0.0


def answered() -> set[int]:
    """Return the sequence numbers of frames that the camera's client has an answer to."""
    lines = compose("exec", "-T", "camera", "cat", ANSWERS, check=False).splitlines()
    return {json.loads(line)["sequence"] for line in lines if line.endswith("}")}


def containers(service: str) -> list[str]:
    return compose("ps", "-q", service).split()


def inspect(container: str, template: str) -> str:
    return run("docker", "inspect", "-f", template, container).strip()


def healthy(container: str) -> bool:
    return inspect(container, "{{.State.Health.Status}}") == "healthy"


def start(services: list[str]) -> None:
    compose("build")
    say("images are built")
    compose("up", "--wait", "--wait-timeout", "600", "-d", *services)
    say(f"up and healthy: {', '.join(services)}")
    for line in compose("ps", "--format", "{{.Name}} {{.Status}}").splitlines():
        say(f"    {line}")
    sizes = run(
        "docker", "images", "--format", "{{.Repository}}:{{.Tag}} {{.Size}}", "--filter", "reference=manypath/*"
    )
    say("images: " + ", ".join(sorted(sizes.split("\n")[:-1])))


def kill_a_decoder_under_load() -> None:
    wait(f"answer to {FRAMES} frames", lambda: len(answered()) >= FRAMES)
    before = len(answered())
    say(f"{before} frames of the demo camera are answered")
    victim = containers("decoder")[0]
    run("docker", "kill", victim)
    say("one of two decoders is killed")
    wait("answers beside a killed decoder", lambda: len(answered()) >= before + FRAMES)
    last = max(answered())
    lost = wait("answer to every frame", lambda: (set(range(1, last + 1)) <= answered()) and {"none"})
    say(f"every frame up to {last} is answered, lost: {', '.join(lost)}")
    run("docker", "start", victim)
    wait(
        "second decoder",
        lambda: all(inspect(c, "{{.State.Health.Status}}") == "healthy" for c in containers("decoder")),
    )
    say("the killed decoder is back and healthy")


def look_at_prometheus() -> None:
    def up() -> bool:
        return all(value(f'sum(up{{job="{job}"}})') == count for job, count in SCRAPED.items())

    wait("target for each service", up)
    rules = ask(os.environ["PROMETHEUS_PORT"], "/api/v1/rules")["data"]["groups"]
    bad = [rule["name"] for group in rules for rule in group["rules"] if rule["health"] == "err"]
    if bad:
        raise SystemExit(f"rules that do not run: {bad}")
    say(f"Prometheus reaches {sum(SCRAPED.values())} targets; {sum(len(g['rules']) for g in rules)} rules run")

    def alertmanagers() -> bool:
        return bool(ask(os.environ["PROMETHEUS_PORT"], "/api/v1/alertmanagers")["data"]["activeAlertmanagers"])

    wait("Alertmanager known to Prometheus", alertmanagers)
    written, sent = (f'sum(manypath_codec_{way}_bytes_total{{job="manypath-encoder"}})' for way in ("output", "input"))
    saved = value(f"{written} / {sent}")
    say(f"bitstreams are {saved:.1%} of the bytes that the camera sent")


def freeze_a_worker() -> None:
    (container,) = containers("segmenter")
    before = int(inspect(container, "{{.RestartCount}}"))
    stop = (
        "import os, pathlib, signal\n"
        "for folder in pathlib.Path('/proc').iterdir():\n"
        "    if folder.name.isdigit() and (folder / 'stat').read_text().rpartition(')')[2].split()[1] == '1':\n"
        "        os.kill(int(folder.name), signal.SIGSTOP)\n"
    )
    run("docker", "exec", container, "python", "-c", stop, check=False)
    say("the segmenter hangs (SIGSTOP)")
    wait("new start of the segmenter", lambda: int(inspect(container, "{{.RestartCount}}")) > before)
    wait("healthy segmenter", lambda: healthy(container))
    say("its health check ended it; it was begun anew and is healthy")


def limits() -> None:
    for service in ("decoder", "encoder", "classifier", "camera"):
        container = containers(service)[0]
        told = inspect(container, " ".join(f"{{{{.{field}}}}}" for field in BOUNDS))
        memory, pids, cpus, readonly, user = told.split()
        if not (int(memory) and int(pids) > 0 and int(cpus) and readonly == "true" and user.startswith("10001")):
            raise SystemExit(f"{service} is not bounded: {told}")
    say("containers are bounded in memory, pids and CPU, read-only and without root")


def end() -> None:
    compose("down", "-v", "--timeout", "45")
    left = [
        run("docker", kind, "ls", "-q", "--filter", "label=com.docker.compose.project=manypath-test", *more).split()
        for kind, more in (("container", ("-a",)), ("volume", ()), ("network", ()))
    ]
    if any(left):
        raise SystemExit(f"left behind: {left}")
    say("down -v: no container, volume or network is left")


def main() -> int:
    without = os.environ.get("COMPOSE_TEST_WITHOUT", "").split()
    os.environ.setdefault("PROMETHEUS_PORT", "19090")
    ports = {"ENCODER": 19051, "CONSOLE": 19080, "ALERTMANAGER": 19093, "GRAFANA": 19030}
    for name, port in ports.items():
        os.environ.setdefault(f"{name}_PORT", str(port))
    os.environ.setdefault("CAMERA_SECONDS", "1")
    version = run("docker", "version", "--format", "{{.Server.Version}}").strip()
    say(f"Docker {version}" + (f"; without {', '.join(without)}" if without else ""))
    try:
        start([service for service in SERVICES if service not in without])
        limits()
        with urllib.request.urlopen(f"http://127.0.0.1:{os.environ['CONSOLE_PORT']}/", timeout=30) as page:
            say(f"the console's first page: {page.status}, {len(page.read()):,} bytes")
        look_at_prometheus()
        kill_a_decoder_under_load()
        freeze_a_worker()
    except SystemExit:
        sys.stdout.write(compose("logs", "--no-color", "--tail", "30", check=False))
        compose("down", "-v", check=False)
        raise
    end()
    say("passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
