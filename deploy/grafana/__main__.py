"""Writes the dashboards, and the alert rules as prometheus-operator wants them; ``--check`` only compares."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana import codec, edge, overview, saturation
from deploy.grafana.panels import build

BOARDS = (overview.BOARD, codec.BOARD, saturation.BOARD, edge.BOARD)
_DEPLOY = Path(__file__).resolve().parents[1]
_HEAD = "# Written from rules.yaml by `make dashboards`; edit that.\n"


def written() -> dict[Path, str]:
    """Return the text of each generated file."""
    files = {
        _DEPLOY / "grafana" / "dashboards" / f"{board.uid}.json": json.dumps(
            build(board), cls=JSONEncoder, indent=1, sort_keys=True
        )
        + "\n"
        for board in BOARDS
    }
    rules = yaml.safe_load((_DEPLOY / "prometheus" / "rules.yaml").read_text())
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "manypath", "namespace": "manypath"},
        "spec": rules,
    }
    files[_DEPLOY / "prometheus" / "prometheusrule.yaml"] = _HEAD + yaml.safe_dump(rule, sort_keys=False, width=120)
    return files


def main() -> int:
    """Return the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.grafana", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if a file is not what it would be")
    check = parser.parse_args().check
    stale = 0
    for file, text in written().items():
        if file.exists() and file.read_text() == text:
            continue
        stale += 1
        print(f"{'differs' if check else 'written'}: {file.relative_to(_DEPLOY.parent)}")
        if not check:
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
