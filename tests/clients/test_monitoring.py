"""Dashboard and alerts, as they are in the repository, under a Prometheus that scrapes an Outport; metrics of a node alone."""

import json
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from support.halves import Halves
from support.reservation import Reservation
from support.wait import until

OPERATIONS = Path(__file__).parents[2] / "docs/operations"
RULES = OPERATIONS / "prometheus-rules.yml"
DASHBOARD = OPERATIONS / "grafana-dashboard.json"
LOG_OPTIONS = {"awslogs-group": "/watched", "awslogs-region": "us-east-1",
               "awslogs-stream-prefix": "app", "awslogs-create-group": "true"}


@pytest.fixture(scope="module")
def programs():
    missing = [name for name in ("prometheus", "promtool") if not shutil.which(name)]
    if missing:
        pytest.skip(f"{' and '.join(missing)} is not installed (Debian: prometheus; "
                    "`cargo xtask test` installs it)")


def test_the_alert_rules_are_rules(programs):
    checked = subprocess.run(["promtool", "check", "rules", RULES], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    assert "3 rules found" in checked.stdout


# Values of each series a minute, and the alerts that fire after fifteen of them.
CASES = [
    ({'outport_nodes{state="silent"}': 0, "outport_disk_free_bytes": 50,
      "outport_disk_total_bytes": 100, "outport_services_below_desired": 0}, []),
    ({'outport_nodes{state="silent"}': 2}, ["OutportNodeSilent"]),
    ({"outport_disk_free_bytes": 9, "outport_disk_total_bytes": 100}, ["OutportDiskNearlyFull"]),
    ({"outport_services_below_desired": 1}, ["OutportServiceBelowDesired"]),
]
ALERTS = ["OutportNodeSilent", "OutportDiskNearlyFull", "OutportServiceBelowDesired"]


@pytest.mark.parametrize("series, fires", CASES)
def test_each_alert_fires_for_what_it_says_and_not_otherwise(programs, tmp_path, series, fires):
    path = tmp_path / "test.yml"
    steps = [{"series": name, "values": f"{value}x20"} for name, value in series.items()]
    # promtool compares labels and texts of those that fire, too: here it is asked only whether.
    asked = [{"expr": f'count(ALERTS{{alertname="{name}", alertstate="firing"}}) or vector(0)',
              "eval_time": "15m",
              "exp_samples": [{"labels": "{}", "value": int(name in fires)}]} for name in ALERTS]
    path.write_text(json.dumps({
        "rule_files": [str(RULES)], "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": steps, "promql_expr_test": asked}]}))
    done = subprocess.run(["promtool", "test", "rules", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


class Prometheus:
    def __init__(self, directory, target):
        self.reserved = Reservation()
        self.url = f"http://127.0.0.1:{self.reserved.port}"
        directory.mkdir()
        config = directory / "prometheus.yml"
        config.write_text(json.dumps({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES)],
            "scrape_configs": [{"job_name": "outport", "metrics_path": "/_outport/metrics",
                                "static_configs": [{"targets": [target]}]}]}))
        with (directory / "log").open("wb") as log:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={directory / 'tsdb'}",
                 f"--web.listen-address=127.0.0.1:{self.reserved.port}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def ask(self, path, **query):
        query = urllib.parse.urlencode(query)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.URLError:
            return None

    def has_data(self, expression):
        answer = self.ask("query", query=expression)
        return bool(answer and answer["result"])

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=60)


@pytest.fixture
def watched(programs, outport, app_image, tmp_path):
    """An Outport at work, and a Prometheus that scrapes it."""
    outport.start()
    uri = outport.push(app_image, "app", "1.0")
    outport.register("app", [{
        "name": "web", "image": f"{uri}:1.0", "memory": 64,
        "command": ["sh", "-c", "trap 'exit 0' TERM; while true; do echo a line; sleep 1; done"],
        "logConfiguration": {"logDriver": "awslogs", "options": LOG_OPTIONS}}])
    outport.ecs.create_service(serviceName="web", taskDefinition="app", desiredCount=1,
                               launchType="EC2")
    prometheus = Prometheus(tmp_path / "prometheus", outport.listen)
    yield outport, prometheus
    prometheus.stop()


def without_threshold(expression):
    """What a rule looks at, where nothing is wrong."""
    return re.sub(r"\s*[<>] [\d.]+$", "", expression)


def test_each_expression_has_data_of_a_running_outport(watched):
    outport, prometheus = watched
    panels = json.loads(DASHBOARD.read_text())["panels"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    assert len(expressions) > 15
    rules = until(lambda: prometheus.ask("rules"), "prometheus answers")["groups"][0]["rules"]
    expressions += [without_threshold(rule["query"]) for rule in rules]

    def missing():
        # Rates need requests that go on.
        outport.ecs.list_clusters()
        return [each for each in expressions if not prometheus.has_data(each)]
    until(lambda: not missing(), lambda: f"each has data: {missing()}", 120)

    def states():
        groups = prometheus.ask("rules")["groups"]
        return {rule["name"]: (rule["health"], rule["state"]) for rule in groups[0]["rules"]}
    until(lambda: all(health == "ok" for health, _ in states().values()), states)
    running = until(lambda: prometheus.has_data('outport_tasks{status="RUNNING"} == 1'),
                    "the task is counted")
    assert running
    # A service that cannot run is what the third alert waits for.
    outport.ecs.update_service(service="web", desiredCount=1_000)
    until(lambda: states()["OutportServiceBelowDesired"] == ("ok", "pending"), states, 90)


def metrics_of(port, path="metrics"):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/_outport/{path}", timeout=30) as answer:
        return answer.read().decode()


def test_a_node_alone_serves_its_own(outport, app_image):
    halves, reserved = Halves(outport), Reservation()
    try:
        halves.server()
        halves.node(options=("--metrics-listen", str(reserved.port)))
        assert metrics_of(reserved.port, "health").startswith("ready")
        uri = outport.push(app_image, "app", "1.0")
        definition = outport.register("app", [{"name": "web", "image": f"{uri}:1.0", "memory": 32}],
                                      networkMode="none")
        outport.reaches(outport.run(definition)["taskArn"], "RUNNING")
        text = metrics_of(reserved.port)
        for expected in ('outport_launch_seconds_count{step="pull"} 1', "outport_shims_running 1",
                         "outport_disk_free_bytes "):
            assert expected in text, text
        assert "outport_tasks{" not in text
        server = metrics_of(outport.port)
        for expected in ('outport_nodes{state="connected"} 1', 'outport_tasks{status="RUNNING"} 1'):
            assert expected in server, server
        halves.kill("node")
        until(lambda: 'outport_nodes{state="silent"} 1' in metrics_of(outport.port),
              "the silent node is counted", 120)
    finally:
        halves.destroy()
    refused = subprocess.run(
        [outport.binary, "node", "--server", outport.url, "--join-token-file", "x",
         "--metrics-listen", "0.0.0.0:9464"], capture_output=True, text=True)
    assert refused.returncode != 0 and "on the loopback only" in refused.stderr, refused.stderr
