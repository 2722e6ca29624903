"""Accounts of an installation: `outport account`, and clients that call as one of them."""

import json
import os
import subprocess

import boto3
import botocore.config


class Account:
    """An account that the operator made, called as its root unless with another key."""

    def __init__(self, outport, name, *options):
        self.outport = outport
        done = subprocess.run([outport.binary, "account", "create", name, "--json", "--data-dir", outport.data_dir,
                               *options], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        made = json.loads(done.stdout)
        self.id, self.name = made["account"]["id"], made["account"]["name"]
        self.key = made["access_key_id"], made["secret_access_key"]

    def client(self, service, region="us-east-1", key=None, token=None):
        key_id, secret = key or self.key
        return boto3.client(service, endpoint_url=self.outport.url, region_name=region, aws_access_key_id=key_id,
                            aws_secret_access_key=secret, aws_session_token=token,
                            config=botocore.config.Config(retries={"max_attempts": 1}))

    def env(self, region="us-east-1"):
        key_id, secret = self.key
        return {**os.environ, "AWS_ENDPOINT_URL": self.outport.url, "AWS_ACCESS_KEY_ID": key_id,
                "AWS_SECRET_ACCESS_KEY": secret, "AWS_REGION": region, "AWS_DEFAULT_REGION": region}

    def role(self, name, trusted, *statements):
        """The ARN of a role that `trusted` may assume."""
        iam = self.client("iam")
        statement = {"Effect": "Allow", "Principal": trusted, "Action": "sts:AssumeRole"}
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(statement))["Role"]["Arn"]
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document(*statements))
        return role


def client_in(outport, service, region):
    """A client that calls as the root of the first account, in a region."""
    env = outport.env()
    return boto3.client(service, endpoint_url=env["AWS_ENDPOINT_URL"], region_name=region,
                        aws_access_key_id=env["AWS_ACCESS_KEY_ID"], aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
                        config=botocore.config.Config(retries={"max_attempts": 1}))


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
