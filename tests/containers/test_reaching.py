"""How tasks are reached: the table of docs/guide/reaching-a-task.md, `outport ps`, `forward` and `open`."""

import json
import os
import signal
import socket
import subprocess
import urllib.request

import pytest

from support.elsewhere import Elsewhere
from support.outport import Outport
from support.wait import until

PORT = 8000
# How long a way that there is not is looked for.
IN_VAIN_S = 2


@pytest.fixture(scope="module")
def outport(binary, tmp_path_factory, app_image):
    """One that other machines reach."""
    outport = Outport(binary, tmp_path_factory.mktemp("reaching"))
    outport.listen = f"0.0.0.0:{outport.port}"
    outport.start("--plain-http", "everyone")
    outport.push(app_image, "app", "1.0")
    yield outport
    outport.destroy()
    outport.assert_nothing_left()


@pytest.fixture(scope="module")
def elsewhere(outport):
    elsewhere = Elsewhere(outport.reserved.number)
    elsewhere.remove()
    elsewhere.make()
    yield elsewhere
    elsewhere.remove()


def restart(outport, *options):
    """After a `kill -9`."""
    outport.kill()
    outport.start("--plain-http", "everyone", *options)


def register(outport, family, mode, port=PORT, mappings=None, command=None):
    uri = outport.repository_uri("app")
    if mappings is None:
        mappings = [] if mode == "none" else [{"containerPort": port}]
    command = command or ["httpd", "-f", "-p", str(port), "-h", "/www"]
    return outport.register(family, [{"name": "web", "image": f"{uri}:1.0", "memory": 32,
                                      "command": command, "portMappings": mappings}],
                            networkMode=mode)


def awsvpc(outport):
    """Of the launch type EC2, whose tasks get no public address."""
    configuration = outport.awsvpc()
    del configuration["awsvpcConfiguration"]["assignPublicIp"]
    return configuration


def start(outport, family, mode, **options):
    definition = register(outport, family, mode, **options)
    network = {"networkConfiguration": awsvpc(outport)} if mode == "awsvpc" else {}
    return outport.reaches(outport.run(definition, **network)["taskArn"], "RUNNING")


def stop(outport, *tasks):
    for task in tasks:
        outport.ecs.stop_task(task=task["taskArn"])
    for task in tasks:
        outport.reaches(task["taskArn"], "STOPPED")


def get(url, patience_s=IN_VAIN_S):
    try:
        with urllib.request.urlopen(url, timeout=patience_s) as answer:
            return answer.read().decode()
    except OSError:
        return ""


def answers(url):
    until(lambda: "hello" in get(url), f"{url} answers")


def rows(outport, env=None, within=()):
    """By task; as root with the data directory, or with credentials."""
    command = [*within, outport.binary, "ps", "--json"]
    command += [] if env else ["--data-dir", outport.data_dir]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True,
                          env={**os.environ, **(env or {})})
    return {row["taskArn"]: row for row in json.loads(done.stdout)}


def ports(outport, task, **options):
    return rows(outport, **options)[task["taskArn"]]["ports"]


def is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def port_of(url):
    return int(url.rsplit(":", 1)[1])


def test_tasks_of_a_service_have_ports_that_stay_over_a_kill(outport):
    definition = register(outport, "many", "awsvpc")
    outport.ecs.create_service(serviceName="many", taskDefinition=definition, desiredCount=2,
                               networkConfiguration=awsvpc(outport))

    def running():
        arns = outport.ecs.list_tasks(serviceName="many")["taskArns"]
        tasks = [outport.task(arn) for arn in arns]
        return tasks if [t["lastStatus"] for t in tasks] == ["RUNNING"] * 2 else None
    tasks = until(running, "both run")
    urls = [ports(outport, task) for task in tasks]
    assert [len(of_one) for of_one in urls] == [1, 1]
    first, second = urls[0][0], urls[1][0]
    assert first != second
    for url in (first, second):
        assert url.startswith("http://127.0.0.1:") and port_of(url) < 32768
        answers(url)
        assert not is_free(port_of(url)), "no other program can take it"
    # AWS's answer is AWS's.
    for task in tasks:
        assert task["containers"][0]["networkBindings"] == []
        assert "127.0.0.1" not in json.dumps([task["attachments"],
                                              task["containers"][0]["networkInterfaces"]])

    opened = subprocess.run([outport.binary, "open", "many", "--print", "--data-dir",
                             outport.data_dir], capture_output=True, text=True, check=True).stdout
    assert opened.strip() in (first, second)

    outport.kill()
    assert "hello" in get(first, 30), "it leads there while Outport is away"
    outport.start("--plain-http", "everyone")
    assert [ports(outport, task) for task in tasks] == urls
    for url in (first, second):
        answers(url)

    outport.ecs.delete_service(service="many", force=True)
    for task in tasks:
        outport.reaches(task["taskArn"], "STOPPED")
    until(lambda: all(is_free(port_of(url)) for url in (first, second)), "the ports are free")
    assert not get(first)


def test_a_changed_setting_counts_for_tasks_that_run(outport, elsewhere):
    task = start(outport, "setting", "awsvpc")
    url, = ports(outport, task)
    assert outport.summary()["tasks"].startswith("reached on 127.0.0.1 too")
    answers(url)
    at_address = f"http://{outport.address(task)}:{PORT}"

    restart(outport, "--publish-tasks", "nowhere")
    assert "tasks" not in outport.summary()
    assert ports(outport, task) == [at_address]
    answers(at_address)
    assert not get(url)
    until(lambda: is_free(port_of(url)), "the port is free")

    restart(outport, "--publish-tasks", "everywhere")
    url, = ports(outport, task)
    answers(url)
    # From another machine, by the same credentials.
    env = {**outport.env(), "AWS_ENDPOINT_URL": f"http://{elsewhere.server}:{outport.port}"}
    far_url, = ports(outport, task, env=env, within=elsewhere.within())
    assert far_url == f"http://{elsewhere.server}:{port_of(url)}"
    assert wget(elsewhere, far_url, 30)

    restart(outport)
    assert ports(outport, task, env=env, within=elsewhere.within()) == [at_address]
    assert not wget(elsewhere, far_url)
    answers(ports(outport, task)[0])
    stop(outport, task)


def wget(elsewhere, url, patience_s=IN_VAIN_S):
    """Whether another machine has an answer."""
    # Debian's static busybox dies of wget's own -T.
    fetch = ["timeout", str(patience_s), "busybox", "wget", "-q", "-O", "-", url]
    done = subprocess.run(elsewhere.within(*fetch), capture_output=True, text=True)
    return "hello" in done.stdout


def test_a_port_gives_way_to_a_task_whose_definition_names_it(outport):
    port = outport.reserved.host_port(22)
    task = start(outport, "gives", "awsvpc", port=port)
    assert ports(outport, task) == [f"http://127.0.0.1:{port}"]
    claims = start(outport, "claims", "bridge",
                   mappings=[{"containerPort": PORT, "hostPort": port}])
    moved, = ports(outport, task)
    assert moved == f"http://127.0.0.1:{10000 + port % 10000}"
    answers(moved)
    assert ports(outport, claims) == [f"http://127.0.0.1:{port}"]
    answers(f"http://127.0.0.1:{port}")
    assert "published_ports_moved" in outport.log()
    stop(outport, claims, task)


class Way:
    """Whether it is open, in the words of the table: from the host, from another task, from another machine."""

    def __init__(self, outport, elsewhere):
        self.outport, self.elsewhere = outport, elsewhere

    def host(self, url, is_open):
        answers(url) if is_open else self._closed(get(url), url)

    def machine(self, url, is_open):
        if is_open:
            until(lambda: wget(self.elsewhere, url, 10), f"another machine reaches {url}")
        else:
            self._closed(wget(self.elsewhere, url), url)

    def task(self, mode, url, is_open):
        # A way that there is may take a moment until the server listens.
        tries, patience_s = (60, 5) if is_open else (1, IN_VAIN_S)
        fetch = f"busybox timeout {patience_s} wget -q -O - {url}"
        command = (f"for i in $(seq {tries}); do {fetch} | grep hello && exit 0; sleep 0.2; done; "
                   "exit 9")
        definition = register(self.outport, "asks", mode, mappings=[],
                              command=["sh", "-c", command])
        network = {"networkConfiguration": awsvpc(self.outport)} if mode == "awsvpc" else {}
        arn = self.outport.run(definition, **network)["taskArn"]
        task = self.outport.reaches(arn, "STOPPED", 90)
        code = task["containers"][0].get("exitCode")
        assert code == (0 if is_open else 9), f"from a task of mode {mode} to {url}: {code}"

    @staticmethod
    def _closed(found, url):
        assert not found, f"{url} is reached"


@pytest.fixture
def way(outport, elsewhere):
    return Way(outport, elsewhere)


def test_the_ways_to_a_task_of_mode_awsvpc(outport, elsewhere, way):
    task = start(outport, "to-awsvpc", "awsvpc")
    url, = ports(outport, task)
    at_address = f"http://{outport.address(task)}:{PORT}"
    published = f"{elsewhere.server}:{port_of(url)}"
    way.host(url, True)
    way.host(at_address, True)
    way.host(f"http://{published}", False)
    way.task("awsvpc", at_address, True)
    way.task("awsvpc", f"http://{published}", False)
    way.task("host", url, True)
    way.task("bridge", at_address, False)
    way.machine(f"http://{published}", False)
    stop(outport, task)


def test_the_ways_to_a_task_of_mode_bridge(outport, elsewhere, way):
    task = start(outport, "to-bridge", "bridge")
    url, = ports(outport, task)
    on_machine = f"http://{elsewhere.server}:{port_of(url)}"
    way.host(url, True)
    way.host(on_machine, True)
    way.task("awsvpc", on_machine, True)
    way.task("bridge", on_machine, True)
    way.task("host", url, True)
    way.machine(on_machine, True)
    stop(outport, task)


def test_the_ways_to_a_task_of_mode_host(outport, elsewhere, way):
    port = outport.reserved.host_port(23)
    task = start(outport, "to-host", "host", port=port)
    assert ports(outport, task) == [f"http://127.0.0.1:{port}"]
    on_machine = f"http://{elsewhere.server}:{port}"
    way.host(f"http://127.0.0.1:{port}", True)
    way.host(on_machine, True)
    way.task("awsvpc", on_machine, True)
    way.task("bridge", on_machine, True)
    way.machine(on_machine, True)
    stop(outport, task)
    # Of a port that its definition does not name tasks know nothing.
    task = start(outport, "to-host", "host", port=port, mappings=[])
    way.host(on_machine, True)
    way.task("awsvpc", on_machine, False)
    stop(outport, task)


def test_a_task_of_mode_none_is_not_reached(outport):
    task = start(outport, "to-none", "none")
    assert ports(outport, task) == []
    refused = forward(outport, task["taskArn"], "0:80").communicate(timeout=60)[1]
    assert "network mode none: nothing reaches it" in refused
    stop(outport, task)


def forward(outport, *arguments, env=None, within=()):
    command = [*within, outport.binary, "forward", *arguments]
    command += [] if env else ["--data-dir", outport.data_dir]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env={**os.environ, **(env or {})})


def test_forward_leads_to_any_port_until_it_or_the_task_ends(outport, elsewhere):
    # Port 8001 is in no mapping.
    serves = "httpd -p 8001 -h /www; exec httpd -f -p 8000 -h /www"
    task = start(outport, "forwarded", "awsvpc", command=["sh", "-c", serves])
    task_id = task["taskArn"].rsplit("/", 1)[1]
    forwarding = forward(outport, task_id[:10], "0:8001", "0:8000", "--json")
    lines = [json.loads(forwarding.stdout.readline()) for _ in range(2)]
    assert [line["containerPort"] for line in lines] == [8001, 8000]
    assert {line["taskArn"] for line in lines} == {task["taskArn"]}
    for line in lines:
        answers(f"http://{line['local']}")
    forwarding.send_signal(signal.SIGINT)
    assert forwarding.wait(timeout=30) == 0
    assert not get(f"http://{lines[0]['local']}")

    local = outport.reserved.host_port(24)
    forwarding = forward(outport, task_id, f"{local}:8000")
    said = forwarding.stdout.readline()
    assert said == (f"127.0.0.1:{local} leads to port 8000 of task {task_id[:12]} "
                    f"({outport.address(task)}:8000)\n")
    answers(f"http://127.0.0.1:{local}")
    taken = forward(outport, task_id, f"{local}:8000").communicate(timeout=60)[1]
    assert f"cannot listen at 127.0.0.1:{local}" in taken

    # From another machine there is no way, and that is said.
    env = {**outport.env(), "AWS_ENDPOINT_URL": f"http://{elsewhere.server}:{outport.port}"}
    far = forward(outport, task_id, "0:8000", env=env, within=elsewhere.within())
    refused = far.communicate(timeout=60)[1]
    assert far.returncode == 1 and "is not reached from here" in refused, refused

    stop(outport, task)
    assert forwarding.wait(timeout=60) == 1
    assert f"task {task_id[:12]} has stopped: UserInitiated" in forwarding.stderr.read()
    ended = forward(outport, task_id, "0:8000").communicate(timeout=60)[1]
    assert f"task {task_id} is STOPPED: UserInitiated" in ended


def test_forward_to_a_bridge_task_goes_by_its_mapping(outport):
    task = start(outport, "forwarded-bridge", "bridge")
    forwarding = forward(outport, task["taskArn"], "0:8000", "--json")
    answers(f"http://{json.loads(forwarding.stdout.readline())['local']}")
    forwarding.send_signal(signal.SIGTERM)
    assert forwarding.wait(timeout=30) == 0
    refused = forward(outport, task["taskArn"], "0:8001").communicate(timeout=60)[1]
    assert "maps only 8000: port 8001 needs a port mapping" in refused
    stop(outport, task)


def test_open_says_what_there_is_not(outport):
    task = start(outport, "portless", "awsvpc", mappings=[])

    def open_in_vain(word):
        done = subprocess.run([outport.binary, "open", word, "--data-dir", outport.data_dir],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        return done.stderr
    assert "maps no TCP port" in open_in_vain(task["taskArn"])
    stop(outport, task)
    assert "is STOPPED: UserInitiated" in open_in_vain(task["taskArn"])
    assert "no task and no service is called" in open_in_vain("absent")
    definition = register(outport, "nobody", "awsvpc")
    outport.ecs.create_service(serviceName="nobody", taskDefinition=definition, desiredCount=0,
                               networkConfiguration=awsvpc(outport))
    assert "no task of service nobody runs: `outport events nobody`" in open_in_vain("nobody")
    outport.ecs.delete_service(service="nobody", force=True)
