"""Grafana's dashboards, written from code: `python -m deploy.grafana` writes `deploy/grafana/dashboards` anew."""
