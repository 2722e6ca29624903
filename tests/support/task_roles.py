"""Tasks with a task role, and what their containers find at 169.254.170.2."""

import json
import urllib.request
import uuid

from support.wait import until

# Serves at /cgi-bin/ask?PATH what the endpoint answers to the container, head and body, and at /cgi-bin/env its environment.
SERVE = r"""mkdir -p /www/cgi-bin; cd /www/cgi-bin
printf '#!/bin/sh\necho "Content-Type: text/plain"; echo; cat /proc/1/environ | tr "\\0" "\\n"\n' > env
printf '#!/bin/sh\necho "Content-Type: text/plain"; echo
printf "GET $QUERY_STRING HTTP/1.0\\r\\n\\r\\n" | nc -w 5 169.254.170.2 80\n' > ask
busybox chmod +x ask env; exec httpd -f -p 8000 -h /www"""

LIST_CLUSTERS = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "ecs:ListClusters", "Resource": "*"}],
}


def trust(condition=None):
    statement = {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
    if condition:
        statement["Condition"] = condition
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


OF_THIS_ACCOUNT = {
    "StringEquals": {"aws:SourceAccount": "000000000000"},
    "ArnLike": {"aws:SourceArn": "arn:aws:ecs:us-east-1:000000000000:*"},
}


def make_role(outport, condition=OF_THIS_ACCOUNT):
    iam, name = outport.client("iam"), f"app-{uuid.uuid4().hex[:8]}"
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(condition))
    iam.put_role_policy(RoleName=name, PolicyName="list", PolicyDocument=json.dumps(LIST_CLUSTERS))
    return name


def delete_role(outport, name):
    iam = outport.client("iam")
    iam.delete_role_policy(RoleName=name, PolicyName="list")
    iam.delete_role(RoleName=name)


def start(outport, role, network_mode="awsvpc", overrides=None, labels=None, **options):
    """A running task, with what its container's environment is."""
    container = {"name": "web", "image": f"{outport.repository_uri('app')}:1.0", "memory": 64,
                 "command": ["sh", "-c", SERVE], "portMappings": [{"containerPort": 8000}]}
    if labels:
        container["dockerLabels"] = labels
    if role:
        options["taskRoleArn"] = role
    definition = outport.register("roles", [container], networkMode=network_mode, **options)
    launch = {"overrides": overrides} if overrides else {}
    if network_mode == "awsvpc":
        launch["networkConfiguration"] = {"awsvpcConfiguration": {"subnets": [outport.subnet()]}}
    fargate = "FARGATE" in options.get("requiresCompatibilities", [])
    task = outport.run(definition, "FARGATE" if fargate else "EC2", **launch)
    return Inside(outport, outport.reaches(task["taskArn"], "RUNNING"), network_mode)


class Inside:
    """A running task, and what its container finds."""

    def __init__(self, outport, task, network_mode):
        self.outport, self.task = outport, task
        if network_mode == "awsvpc":
            self.base = f"http://{outport.address(task)}:8000"
        else:
            self.base = f"http://127.0.0.1:{task['containers'][0]['networkBindings'][0]['hostPort']}"

    def _get(self, path):
        def look():
            try:
                with urllib.request.urlopen(f"{self.base}/cgi-bin/{path}", timeout=10) as answer:
                    return answer.read().decode() or None
            except OSError:
                return None
        return until(look, f"the container answers {path}\n{self.outport.log()[-2000:]}")

    @property
    def environment(self):
        return dict(line.split("=", 1) for line in self._get("env").splitlines() if "=" in line)

    def ask(self, path):
        """Status and JSON of what the endpoint answers the container."""
        head, body = self._get(f"ask?{path}").split("\r\n\r\n", 1)
        return int(head.split()[1]), json.loads(body)

    def answers(self, path):
        """The same, of an endpoint that may not be there yet."""
        def look():
            try:
                return self.ask(path)
            except ValueError:
                return None
        return until(look, f"the endpoint answers {path}")

    def stop(self):
        self.outport.ecs.stop_task(task=self.task["taskArn"])
        self.outport.reaches(self.task["taskArn"], "STOPPED")
