"""Compose, Kubernetes, Prometheus and the images describe one system: what one of them has, the others have too."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from tests.deploy.manifests import (
    OVERLAYS,
    ROOT,
    combined,
    containers,
    environment,
    of_kind,
    overlay,
    pods,
    selects,
)
from tests.deploy.test_kubernetes import COMBINATIONS, SETTINGS

COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
SCRAPES = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
CAMERA_PORT = 9104  # of its command's default, which has no settings of the environment
ELSEWHERE = {"camera": "edge"}  # a camera's client is a container of the edge's pod


def image(name: str) -> str:
    """Return which of our images a reference names; empty for another project's."""
    found = re.search(r"manypath/([a-z]+):", name)
    return found[1] if found else ""


@pytest.fixture(scope="module")
def everything():
    """The objects of every overlay, of every combination of components, and of an edge that is scraped."""
    made = [overlay(name) for name in OVERLAYS]
    made += [combined(components) for components in COMBINATIONS]
    made.append(combined(("scraping",), beneath="overlays/edge"))
    return made


def scraped() -> dict[str, int]:
    """Return the metrics port of each job."""
    return {one["job_name"]: one["dns_sd_configs"][0]["port"] for one in SCRAPES}


def watched(objects):
    """Yield pod, port's name and port of whatever shows metrics."""
    for pod, template in pods(objects):
        for container in containers(template):
            for port in container["ports"]:
                if port["containerPort"] in scraped().values():
                    yield template, pod, port["name"], port["containerPort"]


def test_whatever_compose_runs_runs_on_a_cluster(everything):
    ours = {name for name, service in COMPOSE.items() if image(service["image"])}
    deployed = {pod for objects in everything for pod, _ in pods(objects)}
    assert {ELSEWHERE.get(name, name) for name in ours} <= deployed


def test_a_decoder_of_a_cluster_asks_the_same_workers_as_one_of_compose(everything):
    (composed,) = (
        json.loads(value)
        for name, value in COMPOSE["decoder"]["environment"].items()
        if name == "MANYPATH_DECODER_WORKERS"
    )
    clustered = [
        json.loads(environment(containers(template)[0])["MANYPATH_DECODER_WORKERS"])
        for objects in everything
        for pod, template in pods(objects)
        if pod == "decoder"
    ]
    assert clustered
    for workers in clustered:
        assert {task: where.replace("-replicas", "") for task, where in workers.items()} == composed


def test_whatever_is_deployed_is_secured_and_traced_as_the_rest(everything):
    for objects in everything:
        of_ours = [environment(containers(template)[0]) for pod, template in pods(objects) if pod != "edge"]
        for ending in ("_TLS_CERTIFICATE", "_INSECURE", "_TRACING"):
            having = [any(name.endswith(ending) for name in given) for given in of_ours if listens_openly(given)]
            assert len(set(having)) <= 1, ending


def listens_openly(given: dict[str, str]) -> bool:
    return any(name.endswith("_HOST") and "METRICS" not in name for name in given)


def test_metrics_have_one_port_each_in_settings_images_scrapes_and_manifests(everything):
    ports = scraped()
    settings = {
        f"manypath-{name.lower()}": kind.model_fields["metrics_port"].default for name, kind in SETTINGS.items()
    }
    assert ports == settings | {"manypath-camera": CAMERA_PORT}
    asked = {int(port) for port in re.findall(r'healthcheck\.py", "(\d+)"', (ROOT / "docker/Dockerfile").read_text())}
    exposed = {
        int(port)
        for line in re.findall(r"^EXPOSE (.*)$", (ROOT / "docker/Dockerfile").read_text(), re.MULTILINE)
        for port in line.split()
    }
    assert asked == set(ports.values())
    assert asked <= exposed
    assert {port for objects in everything for *_, port in watched(objects)} == asked


def test_prometheus_of_compose_looks_at_every_service_of_ours():
    looked_at = {name for one in SCRAPES for name in one["dns_sd_configs"][0]["names"]}
    assert looked_at == {name for name, service in COMPOSE.items() if image(service["image"])}


def test_every_process_of_a_cluster_is_scraped_once_under_the_job_that_dashboards_know(everything):
    monitored = [objects for objects in everything if of_kind(objects, "PodMonitor")]
    assert monitored
    jobs = {port: job for job, port in scraped().items()}
    used = set()
    for objects in monitored:
        for template, pod, name, port in watched(objects):
            found = [
                (monitor["metadata"]["name"], rule["replacement"])
                for monitor in of_kind(objects, "PodMonitor")
                if selects(monitor["spec"]["selector"], template["metadata"]["labels"])
                for endpoint in monitor["spec"]["podMetricsEndpoints"]
                if endpoint["port"] == name
                for rule in endpoint["relabelings"]
                if rule["targetLabel"] == "job"
            ]
            assert [job for _, job in found] == [jobs[port]], (pod, name)
            used |= {monitor for monitor, _ in found}
        (policy,) = [
            one for one in of_kind(objects, "NetworkPolicy") if one["metadata"]["name"] == "metrics-from-prometheus"
        ]
        (rule,) = policy["spec"]["ingress"]
        assert {port["port"] for port in rule["ports"]} == set(jobs)
    assert used == {one["metadata"]["name"] for objects in monitored for one in of_kind(objects, "PodMonitor")}


def test_every_image_that_is_built_is_named_once_and_used(everything):
    listed = dict(
        line.split("=", 1)
        for line in (ROOT / "deploy" / "images.env").read_text().splitlines()
        if line and not line.startswith("#")
    )
    for service in COMPOSE.values():
        variable, default = re.fullmatch(r"\$\{(\w+):-([^}]+)\}", service["image"]).groups()
        assert listed[variable] == default
    built = {service["build"]["target"] for service in COMPOSE.values() if "build" in service}
    used = {
        image(container["image"])
        for objects in everything
        for _, template in pods(objects)
        for container in containers(template)
    }
    assert used == built == {image(name) for name in listed.values()} - {""}
