"""Dashboards: what is committed is what the code writes, and the code keeps to the conventions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import promql_parser
import pytest

from deploy.grafana.__main__ import BOARDS, written
from deploy.grafana.panels import INTERVAL, SELECTOR, Panel
from tests.deploy.manifests import ROOT
from tests.deploy.metric_names import metric_names, names_in

UNITS = {"bytes", "Bps", "cps", "d", "decmbytes", "none", "percent", "percentunit", "reqps", "s", "short"}


def panels() -> Iterator[tuple[str, Panel]]:
    for board in BOARDS:
        for row in board.rows:
            for panel in row.panels:
                yield board.uid, panel


PANELS = list(panels())
each_panel = pytest.mark.parametrize(
    "panel", [panel for _, panel in PANELS], ids=[f"{uid}-{panel.title}".replace(" ", "-") for uid, panel in PANELS]
)


def test_what_is_committed_is_what_the_code_writes():
    for file, text in written().items():
        assert file.read_text() == text, f"{file.name} is not what the code writes; run `make dashboards`"


def test_every_dashboard_can_be_narrowed_down_and_leads_to_the_others_and_is_not_edited_by_hand():
    uids = set()
    for board in BOARDS:
        model = json.loads((ROOT / "deploy" / "grafana" / "dashboards" / f"{board.uid}.json").read_text())
        uids.add(model["uid"])
        assert model["editable"] is False
        assert model["description"]
        assert [one["name"] for one in model["templating"]["list"]] == ["datasource", "job", "instance"]
        for variable in model["templating"]["list"][1:]:
            assert variable["refresh"] == 2, "a choice is read anew when the range of time changes"
            assert variable["multi"]
            assert variable["includeAll"]
        (link,) = model["links"]
        assert (link["type"], link["tags"]) == ("dashboards", ["manypath"])
        assert link["includeVars"]
        assert link["keepTime"]
        assert model["tags"] == ["manypath"]
        ids = [panel["id"] for panel in model["panels"]]
        assert len(set(ids)) == len(ids)
        for panel in model["panels"]:
            if panel["type"] != "row":
                assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
                assert 0 <= panel["gridPos"]["x"] <= 24 - panel["gridPos"]["w"]
    assert len(uids) == len(BOARDS)


@each_panel
def test_a_panel_says_what_it_shows_and_in_which_unit(panel):
    assert re.match(r"[A-Z]", panel.title)
    assert len(panel.description) > 20
    assert panel.description.endswith(".")
    assert panel.unit in UNITS or panel.unit.startswith("suffix: ")
    assert panel.queries


@each_panel
def test_a_query_parses_narrows_down_and_names_metrics_that_there_are(panel):
    for query in panel.queries:
        concrete = query.expression.replace(INTERVAL, "5m").replace("$job", ".+").replace("$instance", ".+")
        promql_parser.parse(concrete)
        named = names_in(query.expression)
        assert named
        if any(name.startswith("DCGM") for name in named):  # another exporter's: our jobs are not its
            continue
        assert named <= metric_names(), panel.title
        selectors = re.findall(r"\w\{([^}]*)\}", query.expression)
        assert len(selectors) == len(re.findall(r"\b(?:manypath|grpc_server|process)_\w+", query.expression))
        assert all(selector.startswith(SELECTOR) for selector in selectors)
        assert all(found == INTERVAL for found in re.findall(r"\[([^\]]+)\]", query.expression))


def test_runbooks_that_dashboards_name_are_there():
    text = (ROOT / "docs" / "runbook.md").read_text()
    sections = set(re.findall(r"^## (\w+)", text, re.MULTILINE))
    named = {name for _, panel in PANELS for name in re.findall(r"\bManypath[A-Z]\w+", panel.description)}
    assert named
    assert named <= sections
