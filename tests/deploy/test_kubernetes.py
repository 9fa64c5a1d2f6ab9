"""Manifests: valid for two versions of Kubernetes, at one with each other, and with the services they start."""

from __future__ import annotations

import itertools
import json
import re

import kubernetes_validate
import promql_parser
import pytest

from manypath_api.v1 import codec_pb2
from manypath_services.common.server import LIVENESS
from manypath_services.console.settings import ConsoleSettings
from manypath_services.decoder.settings import DecoderSettings
from manypath_services.encoder.settings import EncoderSettings
from manypath_services.worker.settings import WorkerSettings
from tests.deploy.manifests import (
    KUBERNETES,
    OVERLAYS,
    combined,
    containers,
    environment,
    kustomize,
    name,
    of_kind,
    overlay,
    pods,
    selects,
)
from tests.deploy.metric_names import metric_names, names_in

VERSIONS = ("1.31", "1.37")
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
CUSTOM = {
    "cert-manager.io/v1": {"Certificate", "Issuer"},
    "gateway.envoyproxy.io/v1alpha1": {"BackendTrafficPolicy"},
    "gateway.networking.k8s.io/v1": {"GRPCRoute", "Gateway"},
    "keda.sh/v1alpha1": {"ScaledObject"},
    "monitoring.coreos.com/v1": {"PodMonitor", "PrometheusRule"},
}
SETTINGS = {
    "CONSOLE": ConsoleSettings,
    "DECODER": DecoderSettings,
    "ENCODER": EncoderSettings,
    "WORKER": WorkerSettings,
}
COMBINATIONS = [
    (*security, *rest)
    for security, rest in itertools.product(
        [("insecure",), ("mtls",)],
        [
            ("hpa",),
            ("hpa", "gateway"),
            ("gpu", "keda", "monitoring"),
            ("gpu", "mig", "keda", "monitoring", "tracing"),
            ("gpu", "time-slicing", "gateway", "tracing"),
        ],
    )
]
COMBINATIONS += [("console", "insecure", "hpa", "tracing"), ("console", "mtls", "monitoring", "keda", "tracing")]


@pytest.fixture(scope="module", params=OVERLAYS)
def objects(request):
    return overlay(request.param)


_valid: set[str] = set()


def check(objects) -> None:
    """Every object is known, and valid, in each version."""
    for one in objects:
        if one["apiVersion"] in CUSTOM:
            assert one["kind"] in CUSTOM[one["apiVersion"]]
            continue
        text = json.dumps(one, sort_keys=True)
        if text not in _valid:  # most objects are in most combinations
            for version in VERSIONS:
                kubernetes_validate.validate(one, version, strict=True)
            _valid.add(text)
    names = [name(one) for one in objects]
    assert len(set(names)) == len(names)


def test_every_overlay_is_valid(objects):
    check(objects)


@pytest.mark.parametrize("components", COMBINATIONS, ids="+".join)
def test_every_combination_of_components_is_valid_and_coherent(components):
    objects = combined(components)
    check(objects)
    check_settings(objects)
    check_selectors(objects)


def test_an_edge_that_is_scraped_is_valid_and_coherent():
    objects = combined(("scraping",), beneath="overlays/edge")
    check(objects)
    check_settings(objects)
    check_selectors(objects)


def test_every_component_is_in_some_combination():
    folders = {folder.name for folder in (KUBERNETES / "components").iterdir()}
    assert folders == {*itertools.chain(*COMBINATIONS), "scraping"}


def check_settings(objects) -> None:
    """What a container's environment says is what its service can be told, and lets it start."""
    maps = {one["metadata"]["name"]: one["data"] for one in of_kind(objects, "ConfigMap")}
    for pod, template in pods(objects):
        for container in containers(template):
            given = environment(container)
            for source in container.get("envFrom", []):
                given |= maps[source["configMapRef"]["name"]]
            prefixes = {key.split("_")[1] for key in given if key.startswith("MANYPATH_")}
            assert len(prefixes) <= 1, pod
            for prefix in prefixes & set(SETTINGS):
                values = {key.removeprefix(f"MANYPATH_{prefix}_").lower(): value for key, value in given.items()}
                parsed = {key: json.loads(value) if value[:1] in "{[" else value for key, value in values.items()}
                settings = SETTINGS[prefix].load(**parsed)
                ports = {one["name"]: one["containerPort"] for one in container["ports"]}
                assert ports["metrics"] == settings.metrics_port
                assert ports.get("grpc", settings.port) == settings.port
                assert (
                    settings.drain_seconds + settings.grace_seconds < template["spec"]["terminationGracePeriodSeconds"]
                )


def test_what_containers_are_told_lets_their_services_start(objects):
    check_settings(objects)


def check_selectors(objects) -> None:
    """Whatever selects pods selects some, and ports that are named are there."""
    templates = dict(pods(objects))
    for one in of_kind(objects, "Service"):
        chosen = [
            t for t in templates.values() if selects({"matchLabels": one["spec"]["selector"]}, t["metadata"]["labels"])
        ]
        assert len(chosen) == 1, name(one)
        ports = {port["name"]: port["containerPort"] for c in containers(chosen[0]) for port in c["ports"]}
        for port in one["spec"]["ports"]:
            assert ports[port["targetPort"]] == port["port"], name(one)
    for one in of_kind(objects, "PodDisruptionBudget", "PodMonitor", "NetworkPolicy"):
        spec = one["spec"]
        selector = spec.get("selector") or spec.get("podSelector")
        chosen = [t for t in templates.values() if selects(selector or {}, t["metadata"]["labels"])]
        assert chosen or one["kind"] == "PodMonitor", name(one)  # tests/deploy/test_one_system.py looks at those
        if one["kind"] == "PodMonitor":
            for template, endpoint in itertools.product(chosen, spec["podMetricsEndpoints"]):
                assert endpoint["port"] in {p["name"] for c in containers(template) for p in c["ports"]}
    for one in of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject"):
        target = one["spec"]["scaleTargetRef"]["name"]
        assert target in templates, name(one)
        (scaled,) = [d for d in of_kind(objects, "Deployment") if d["metadata"]["name"] == target]
        assert "replicas" not in scaled["spec"], f"{target}: a second apply would undo what the autoscaler did"
    for one in of_kind(objects, "Deployment"):
        spec = one["spec"]
        assert selects(spec["selector"], spec["template"]["metadata"]["labels"])


def test_what_selects_pods_selects_some_and_named_ports_are_there(objects):
    check_selectors(objects)


def test_addresses_in_settings_are_services_and_policies_let_the_calls_through():
    objects = overlay("gpu")
    services = {one["metadata"]["name"]: one for one in of_kind(objects, "Service")}
    certificates = {one["metadata"]["name"]: one["spec"] for one in of_kind(objects, "Certificate")}
    templates = dict(pods(objects))
    addresses = []
    for pod, template in templates.items():
        for value in environment(containers(template)[0]).values():
            addresses += [(pod, host, int(port)) for host, port in re.findall(r"([a-z][a-z-]+):(\d{5})", value)]
    assert {host for _, host, _ in addresses} == {
        *("decoder-replicas", "classifier-replicas", "segmenter-replicas", "detector-replicas")
    }
    for caller, host, port in addresses:
        service = services[host]
        callee = service["spec"]["selector"]["app.kubernetes.io/name"]
        assert service["spec"]["clusterIP"] == "None"  # each replica, for balancing at the caller
        assert [one["port"] for one in service["spec"]["ports"]] == [port]
        assert host in certificates[callee]["dnsNames"]
        assert allowed(objects, "egress", templates[caller], templates[callee], port), (caller, callee)
        assert allowed(objects, "ingress", templates[callee], templates[caller], port), (caller, callee)
    assert not allowed(objects, "egress", templates["classifier"], templates["decoder"], 50052)
    assert not allowed(objects, "ingress", templates["classifier"], templates["encoder"], 50053)


def allowed(objects, direction, subject, other, port) -> bool:
    """Whether policies of the subject's pods allow a call with pods of the same namespace."""
    peers = {"egress": "to", "ingress": "from"}[direction]
    for policy in of_kind(objects, "NetworkPolicy"):
        spec = policy["spec"]
        if not selects(spec["podSelector"], subject["metadata"]["labels"]):
            continue
        for rule in spec.get(direction) or []:
            if port not in [one["port"] for one in rule["ports"]]:
                continue
            for peer in rule.get(peers, []):
                if "namespaceSelector" not in peer and selects(peer["podSelector"], other["metadata"]["labels"]):
                    return True
    return False


def test_nothing_is_allowed_that_is_not_written_down(objects):
    (deny,) = [one for one in of_kind(objects, "NetworkPolicy") if one["metadata"]["name"] == "default-deny"]
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for policy in of_kind(objects, "NetworkPolicy"):
        for rule in policy["spec"].get("ingress") or []:
            assert rule.get("from"), name(policy)
            assert rule.get("ports"), name(policy)


def test_pods_keep_to_the_restricted_standard_and_bound_what_they_take(objects):
    (namespace,) = of_kind(objects, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for pod, template in pods(objects):
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        for container in containers(template):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, pod
            assert context["readOnlyRootFilesystem"] is True, pod
            assert context["capabilities"] == {"drop": ["ALL"]}, pod
            limits = container["resources"]["limits"]
            assert {"memory", "ephemeral-storage"} <= set(limits), pod
            assert {"cpu", "memory"} <= set(container["resources"]["requests"]), pod
            assert re.search(r":\d+\.\d+\.\d+(-\w+)?$", container["image"]), pod


def test_probes_ask_ports_that_answer_them(objects):
    mutual = bool(of_kind(objects, "Certificate"))
    for pod, template in pods(objects):
        for container in containers(template):
            ports = {one["name"]: one["containerPort"] for one in container["ports"]}
            given = environment(container)
            camera = "/camera:" in container["image"]  # its image binds the port itself, and nobody calls it
            for kind in PROBES:
                probe = container[kind]
                if "grpc" in probe:
                    assert not mutual, f"{pod}: a kubelet has no certificate"
                    assert probe["grpc"]["port"] == ports["grpc"]
                    assert probe["grpc"].get("service", "") == (LIVENESS if kind == "livenessProbe" else "")
                    assert any(k.endswith("_HOST") and v == "0.0.0.0" for k, v in given.items())
                else:
                    page = "/live" if camera or kind == "livenessProbe" else "/ready"
                    assert probe["httpGet"]["path"] == page
                    assert probe["httpGet"]["port"] in ports
                    bound = any(k.endswith("_METRICS_HOST") and v == "0.0.0.0" for k, v in given.items())
                    assert bound or camera


def test_a_gpu_replica_waits_for_no_second_gpu_and_has_time_to_load():
    for deployment in of_kind(overlay("gpu"), "Deployment"):
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        gpus = container["resources"]["limits"].get("nvidia.com/gpu")
        if container["name"] in {"classifier", "segmenter", "detector"}:
            assert gpus is None
            continue
        assert gpus == "1"
        assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
        probe = container["startupProbe"]
        assert probe["periodSeconds"] * probe["failureThreshold"] >= 600
        assert environment(container)[f"MANYPATH_{container['name'].upper()}_DEVICE"] == "cuda"
        spec = deployment["spec"]["template"]["spec"]
        assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in spec["tolerations"]


def test_queries_of_autoscalers_are_promql_over_metrics_that_exist():
    known = metric_names()
    triggers = [t for one in of_kind(overlay("gpu"), "ScaledObject") for t in one["spec"]["triggers"]]
    assert len(triggers) == 4
    for trigger in triggers:
        query = trigger["metadata"]["query"]
        promql_parser.parse(query)
        assert names_in(query) <= known
        assert names_in(query)
        assert "DCGM" not in query  # a GPU's utilisation is not load


# Field names of objects for which there is no schema that refuses unknown ones, from the Gateway API's and Envoy
# Gateway's references; what is not in here is a mistake, or wants to be added.
_ROUTE = {
    "parentRefs": {"name", "sectionName", "namespace", "port", "kind", "group"},
    "hostnames": None,
    "rules": {
        "name": None,
        "matches": {"method": {"type", "service", "method"}, "headers": {"type", "name", "value"}},
        "filters": {"type"},
        "backendRefs": {"name", "port", "weight", "kind", "group", "namespace"},
    },
}
_POLICY = {
    "targetRefs": {"group", "kind", "name", "sectionName"},
    "timeout": {
        "http": {"requestTimeout", "streamIdleTimeout", "connectionIdleTimeout", "maxConnectionDuration"},
        "tcp": {"connectTimeout"},
    },
}


def unknown_fields(value, known, where="spec"):
    """Yield fields of a value that are not known."""
    for one in value if isinstance(value, list) else [value]:
        if not isinstance(one, dict) or known is None:
            continue
        for key, inner in one.items():
            if key not in known:
                yield f"{where}.{key}"
            elif isinstance(known, dict):
                yield from unknown_fields(inner, known[key], f"{where}.{key}")


def test_the_gateways_objects_have_known_fields_and_known_services():
    objects = kustomize(KUBERNETES / "components" / "gateway")
    (route,) = of_kind(objects, "GRPCRoute")
    (policy,) = of_kind(objects, "BackendTrafficPolicy")
    assert not [*unknown_fields(route["spec"], _ROUTE), *unknown_fields(policy["spec"], _POLICY)]
    assert list(unknown_fields({"rules": [{"timeouts": {}}]}, _ROUTE)) == ["spec.rules.timeouts"]  # it has none
    known = {"grpc.health.v1.Health", *(s.full_name for s in codec_pb2.DESCRIPTOR.services_by_name.values())}
    assert {m["method"]["service"] for rule in route["spec"]["rules"] for m in rule["matches"]} <= known
    assert policy["spec"]["timeout"]["http"]["requestTimeout"] == "0s"
