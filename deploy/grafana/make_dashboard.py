"""Makes shmtel.json, a dashboard for Grafana, from the tables of its panels.

    python deploy/grafana/make_dashboard.py > deploy/grafana/shmtel.json

Rules:
- what is shown stands in the tables of sections, and how it looks to Grafana here;
- no data source, host or job is written down: variables choose them, so that a
  dashboard can be imported anywhere;
- the same tables make the same bytes.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from daemon_sections import BRIDGES, HOSTS, HUB, PROCESSES
from event_sections import EVENTS, GRPC, POOLS, WORK, WORKERS
from ledger_sections import GLANCE, LEDGER
from panels import Panel, Query, Section

SECTIONS = (
    *(GLANCE, EVENTS, LEDGER, HOSTS, WORK, GRPC, POOLS, WORKERS, HUB),
    *(BRIDGES, PROCESSES),
)

SCHEMA_VERSION = 42  # the last one of dashboards in this form; Grafana 12
WIDTH = 24
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
HEIGHTS = {"stat": 4, "timeseries": 8, "table": 8}
_Json = dict[str, Any]


def dashboard(sections: Iterable[Section]) -> _Json:
    """Return the dashboard of some sections."""
    return {
        "uid": "shmtel",
        "title": "shmtel",
        "description": "What workers emit, and what became of it on its way.",
        "tags": ["shmtel"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,  # one moment in all panels
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": list(variables())},
        "annotations": {"list": []},
        "links": [],
        "panels": numbered(placed(sections)),
    }


def variables() -> Iterator[_Json]:
    """Return what is chosen at the top."""
    yield {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
    }
    yield choice("node", "Host", "shmtel_fleet_host_connected")
    yield choice("service", "Service", "shmtel_events_committed_total")
    yield choice("pool", "Pool", "shmtel_pool_workers")


def choice(label: str, title: str, metric: str) -> _Json:
    """Return a variable whose values are those of a metric's label."""
    query = f"label_values({metric}, {label})"
    return {
        "name": label,
        "label": title,
        "type": "query",
        "datasource": SOURCE,
        "definition": query,
        "query": {"query": query, "refId": "variable"},
        "refresh": 2,  # with the time range
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",  # also what has no such label
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def placed(sections: Iterable[Section]) -> Iterator[_Json]:
    """Return rows and panels with their places, from left to right and down."""
    top = 0
    for section in sections:
        row: _Json = {"type": "row", "title": section.title}
        row["collapsed"] = section.is_closed
        row["gridPos"] = {"x": 0, "y": top, "w": WIDTH, "h": 1}
        top += 1
        panels, below = placed_panels(section.panels, top)
        if section.is_closed:  # its panels are in the row, and not asked for
            yield {**row, "panels": panels}
        else:
            top = below
            yield {**row, "panels": []}
            yield from panels


def placed_panels(panels: Iterable[Panel], top: int) -> tuple[list[_Json], int]:
    """Return panels with their places from a line on, and the line after them."""
    made: list[_Json] = []
    left = height = 0
    for panel in panels:
        if left + panel.width > WIDTH:
            left, top, height = 0, top + height, 0
        place = {"x": left, "y": top, "w": panel.width, "h": HEIGHTS[panel.kind]}
        made.append({**drawn(panel), "gridPos": place})
        left, height = left + panel.width, max(height, HEIGHTS[panel.kind])
    return made, top + height


def numbered(panels: Iterable[_Json]) -> list[_Json]:
    """Give each panel, also those in rows, an id."""
    found = list(panels)
    inner = [panel for row in found for panel in row.get("panels", [])]
    for number, panel in enumerate([*found, *inner], 1):
        panel["id"] = number
    return found


def drawn(panel: Panel) -> _Json:
    """Return a panel without a place."""
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "targets": [
            target(panel, query, chr(ord("A") + at))
            for at, query in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": _DEFAULTS[panel.kind](panel), "overrides": []},
        "options": _OPTIONS[panel.kind],
    }


def target(panel: Panel, query: Query, ref_id: str) -> _Json:
    """Return one expression of a panel."""
    made: _Json = {
        "refId": ref_id,
        "datasource": SOURCE,
        "expr": query.expression,
        "legendFormat": query.legend or "__auto",
    }
    if panel.kind == "timeseries":
        return {**made, "range": True}
    form = "table" if panel.kind == "table" else "time_series"
    return {**made, "instant": True, "format": form}


def _thresholds(panel: Panel) -> _Json:
    good = {"color": "green", "value": None}
    bad = [{"color": "red", "value": panel.bad_from}]
    steps = [good, *(bad if panel.bad_from is not None else [])]
    return {"mode": "absolute", "steps": steps}


def _stat(panel: Panel) -> _Json:
    return {
        "unit": panel.unit,
        "noValue": "-",
        "thresholds": _thresholds(panel),
        "color": {"mode": "thresholds"},
    }


def _timeseries(panel: Panel) -> _Json:
    lines: _Json = {"fillOpacity": 10, "lineWidth": 1, "showPoints": "never"}
    if panel.is_stacked:
        lines |= {"fillOpacity": 40, "stacking": {"mode": "normal", "group": "A"}}
    if panel.bad_from is not None:
        lines["thresholdsStyle"] = {"mode": "line"}
    made: _Json = {
        "unit": panel.unit,
        "custom": lines,
        "thresholds": _thresholds(panel),
    }
    made["color"] = {"mode": "palette-classic"}
    return made if panel.can_be_negative else {**made, "min": 0}


def _table(panel: Panel) -> _Json:
    return {"unit": panel.unit, "custom": {"align": "auto"}}


_DEFAULTS = {"stat": _stat, "timeseries": _timeseries, "table": _table}
_OPTIONS: dict[str, _Json] = {
    "stat": {
        "colorMode": "value",
        "graphMode": "none",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    },
    "timeseries": {
        "legend": {
            "displayMode": "table",
            "placement": "bottom",
            "calcs": ["lastNotNull", "max"],
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "table": {"showHeader": True},
}


if __name__ == "__main__":
    print(json.dumps(dashboard(SECTIONS), indent=1))
