"""Alerts: promtool accepts and runs them, each has both of its cases and a section of the runbook."""

from __future__ import annotations

import re
import shutil
import subprocess

import promql_parser
import pytest
import yaml

from tests.deploy.manifests import ROOT
from tests.deploy.metric_names import metric_names, names_in

FOLDER = ROOT / "deploy" / "prometheus"
GROUPS = yaml.safe_load((FOLDER / "rules.yaml").read_text())["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = [rule for rule in RULES if "alert" in rule]


def promtool(*arguments: str) -> str:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed; it is in Debian's package prometheus")
    run = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, cwd=FOLDER)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_promtool_accepts_the_rules():
    assert f"{len(RULES)} rules found" in promtool("check", "rules", "rules.yaml")


def test_every_alert_fires_and_stays_silent_as_its_cases_say():
    assert "SUCCESS" in promtool("test", "rules", "rules.test.yaml")
    fires, silent = set(), set()
    for case in yaml.safe_load((FOLDER / "rules.test.yaml").read_text())["tests"]:
        for one in case["alert_rule_test"]:
            (fires if one["exp_alerts"] else silent).add(one["alertname"])
    assert fires == silent == {rule["alert"] for rule in ALERTS}


def test_every_alert_says_what_how_bad_and_where_to_read_on():
    runbook = (ROOT / "docs" / "runbook.md").read_text()
    sections = re.findall(r"^## (\w+)$", runbook, re.MULTILINE)
    assert sorted(sections) == sorted(rule["alert"] for rule in ALERTS)
    for rule in ALERTS:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"
        text = runbook.partition(f"## {rule['alert']}\n")[2].partition("\n## ")[0]
        for part in ("**Means.**", "**Look.**", "**Do.**"):
            assert part in text, rule["alert"]


@pytest.mark.parametrize("rule", RULES, ids=[rule.get("alert") or rule["record"] for rule in RULES])
def test_a_rule_parses_and_names_metrics_that_there_are(rule):
    promql_parser.parse(rule["expr"])
    recorded = {one["record"] for one in RULES if "record" in one}
    expression = rule["expr"]
    for name in recorded:
        expression = expression.replace(name, "")
    assert names_in(expression) <= metric_names() | {"manypath_faults"}
