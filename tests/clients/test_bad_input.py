"""What no SDK sends: every one gets an error of AWS's type, and the next request works."""

import gzip
import http.client
import json
import socket

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

JSON = "application/x-amz-json-1.1"
TARGET = "AmazonEC2ContainerServiceV20141113."
#: The largest request that is read (crates/front-door says 2 MiB for the API).
FAR_TOO_LARGE = 64 << 20


@pytest.fixture(scope="module")
def outport(shared_outport):
    return shared_outport


@pytest.fixture(autouse=True)
def still_answers(outport):
    yield
    assert outport.ecs.list_clusters()["ResponseMetadata"]["HTTPStatusCode"] == 200


def signed_headers(outport, body, operation="ListClusters", service="ecs", secret=None,
                   content_type=JSON):
    env = outport.env()
    request = botocore.awsrequest.AWSRequest("POST", outport.url + "/", data=body, headers={
        "content-type": content_type, "x-amz-target": TARGET + operation,
        "host": f"127.0.0.1:{outport.port}"})
    credentials = botocore.credentials.Credentials(
        env["AWS_ACCESS_KEY_ID"], secret or env["AWS_SECRET_ACCESS_KEY"])
    botocore.auth.SigV4Auth(credentials, service, env["AWS_REGION"]).add_auth(request)
    return dict(request.headers.items())


def post(outport, body, headers):
    """Status, the error's type and its message."""
    connection = http.client.HTTPConnection("127.0.0.1", outport.port, timeout=30)
    try:
        connection.request("POST", "/", body=body, headers=headers)
        answer = connection.getresponse()
        raw = answer.read()
        assert answer.headers["x-amzn-requestid"], "an error has a request id too"
        document = json.loads(raw)
        kind = document["__type"].rsplit("#", 1)[-1]
        return answer.status, kind, document.get("message") or document.get("Message")
    finally:
        connection.close()


@pytest.mark.parametrize("body", [
    b"{", b"[]", b"null", b"\xff\xfe", b'{"maxResults": "ten"}', b'{"maxResults": 1e99}',
    b'{"nextToken": {}}', b'{"a":' * 5000 + b"1" + b"}" * 5000, b"{}{}", b'"text"'])
def test_malformed_bodies(outport, body):
    status, kind, message = post(outport, body, signed_headers(outport, body))
    assert (status, kind) == (400, "SerializationException"), message


def test_an_unknown_member_is_ignored_as_aws_does(outport):
    body = b'{"noSuchMember": [1, {"x": null}]}'
    connection = http.client.HTTPConnection("127.0.0.1", outport.port, timeout=30)
    connection.request("POST", "/", body=body, headers=signed_headers(outport, body))
    assert connection.getresponse().status == 200
    connection.close()


def test_an_unknown_operation(outport):
    headers = signed_headers(outport, b"{}", operation="NoSuchOperation")
    status, kind, _ = post(outport, b"{}", headers)
    assert (status, kind) == (400, "UnknownOperationException")


def test_an_operation_that_is_not_built_says_so(outport):
    headers = signed_headers(outport, b"{}", operation="ExecuteCommand")
    status, kind, message = post(outport, b"{}", headers)
    assert (status, kind) == (501, "NotImplemented")
    assert "ExecuteCommand" in message


def test_no_signature(outport):
    headers = {"content-type": JSON, "x-amz-target": TARGET + "ListClusters"}
    status, kind, _ = post(outport, b"{}", headers)
    assert (status, kind) == (400, "MissingAuthenticationTokenException")


def test_a_signature_of_another_secret(outport):
    headers = signed_headers(outport, b"{}", secret="wrong")
    status, kind, message = post(outport, b"{}", headers)
    assert (status, kind) == (400, "InvalidSignatureException")
    assert message.startswith("The request signature we calculated does not match")


def test_an_unknown_access_key(outport):
    headers = signed_headers(outport, b"{}")
    key = outport.env()["AWS_ACCESS_KEY_ID"]
    authorization = headers["Authorization"].replace(key, "AKIAAAAAAAAAAAAAAAAA")
    status, kind, message = post(outport, b"{}", {**headers, "Authorization": authorization})
    assert (status, kind) == (400, "UnrecognizedClientException")
    assert message == "The security token included in the request is invalid."


def test_a_body_that_was_not_signed(outport):
    headers = signed_headers(outport, b"{}")
    status, kind, _ = post(outport, b'{"maxResults":1}', headers)
    assert (status, kind) == (400, "InvalidSignatureException")


def test_an_old_signature(outport, monkeypatch):
    import datetime
    class Yesterday(datetime.datetime):
        @classmethod
        def utcnow(cls):
            return super().utcnow() - datetime.timedelta(days=1)
        @classmethod
        def now(cls, tz=None):
            return super().now(tz) - datetime.timedelta(days=1)
    import botocore.compat
    for module in (botocore.auth, botocore.compat):
        if hasattr(module, "get_current_datetime"):
            monkeypatch.setattr(module, "get_current_datetime", lambda remove_tzinfo=True:
                                datetime.datetime.utcnow() - datetime.timedelta(days=1))
    headers = signed_headers(outport, b"{}")
    today = datetime.datetime.utcnow().strftime("%Y%m%d")
    assert not headers["X-Amz-Date"].startswith(today), "the clock was turned back"
    status, kind, message = post(outport, b"{}", headers)
    assert (status, kind) == (400, "InvalidSignatureException")
    assert message.startswith("Signature expired:")


def test_a_body_that_is_too_large(outport):
    """Refused before it was sent: the length says it, or what was read until then."""
    headers = signed_headers(outport, b"{}")
    with socket.create_connection(("127.0.0.1", outport.port), timeout=30) as stream:
        lines = [f"{name}: {value}" for name, value in headers.items()
                 if name.lower() != "content-length"]
        head = "\r\n".join(["POST / HTTP/1.1", *lines, f"content-length: {FAR_TOO_LARGE}", "", ""])
        stream.sendall(head.encode())
        answer = stream.recv(4096).decode()
    assert answer.split(" ")[1] == "413", answer


def test_a_bomb_in_gzip(outport):
    packed = gzip.compress(b" " * FAR_TOO_LARGE)
    headers = signed_headers(outport, packed)
    connection = http.client.HTTPConnection("127.0.0.1", outport.port, timeout=30)
    connection.request("POST", "/", body=packed,
                       headers={**headers, "content-encoding": "gzip"})
    assert connection.getresponse().status in (400, 413)
    connection.close()


@pytest.mark.parametrize("raw", [
    b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n",
    b"POST / HTTP/1.1\r\ncontent-length: -5\r\n\r\n",
    b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 20000 + b"\r\n"])
def test_bytes_that_are_no_request(outport, raw):
    with socket.create_connection(("127.0.0.1", outport.port), timeout=30) as stream:
        try:
            stream.sendall(raw)
            answer = stream.recv(4096)
        except ConnectionError:
            return
        assert answer == b"" or answer.split(b" ")[1].startswith(b"4"), answer
