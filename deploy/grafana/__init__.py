"""Dashboards as code: ``python -m deploy.grafana`` writes the JSON that Grafana and Kubernetes are given."""
