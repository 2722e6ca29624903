"""ECR through boto3: repositories and what becomes of images as they are pushed, tagged and deleted."""

import base64
import datetime
import json

import boto3
import botocore.exceptions
import pytest

from support.image_tools import run
from support.wait import until

ABSENT = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def ecr(shared_outport):
    return shared_outport.client("ecr")


@pytest.fixture
def repository(shared_outport, app_image, ecr):
    """A repository with two images."""
    shared_outport.push(app_image, "team/ecr-api", "1.0", "2.0")
    yield "team/ecr-api"
    ecr.delete_repository(repositoryName="team/ecr-api", force=True)


def refused(call):
    with pytest.raises(botocore.exceptions.ClientError) as error:
        call()
    error = error.value.response["Error"]
    return error["Code"], error["Message"]


def tags(ecr, repository):
    """Sorted tags of each image."""
    images = ecr.describe_images(repositoryName=repository)["imageDetails"]
    return sorted(sorted(image.get("imageTags", [])) for image in images)


def test_repositories(ecr):
    made = ecr.create_repository(
        repositoryName="r/one", imageTagMutability="IMMUTABLE", tags=[{"Key": "k", "Value": "v"}],
        imageScanningConfiguration={"scanOnPush": True})["repository"]
    assert made["repositoryArn"].endswith(":repository/r/one")
    assert made["repositoryUri"].endswith("/r/one") and made["imageTagMutability"] == "IMMUTABLE"
    assert made["encryptionConfiguration"] == {"encryptionType": "AES256"}
    assert ecr.list_tags_for_resource(resourceArn=made["repositoryArn"])["tags"] \
        == [{"Key": "k", "Value": "v"}]
    account = made["registryId"]
    assert refused(lambda: ecr.create_repository(repositoryName="r/one")) == (
        "RepositoryAlreadyExistsException",
        f"The repository with name 'r/one' already exists in the registry with id '{account}'")
    assert refused(lambda: ecr.describe_repositories(repositoryNames=["absent"])) == (
        "RepositoryNotFoundException",
        f"The repository with name 'absent' does not exist in the registry with id '{account}'")
    assert refused(lambda: ecr.create_repository(repositoryName="Bad!"))[0] \
        == "InvalidParameterException"
    pages = ecr.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 1})
    names = [one["repositoryName"] for page in pages for one in page["repositories"]]
    assert names == sorted(names) and "r/one" in names
    ecr.delete_repository(repositoryName="r/one")


def test_the_password_is_good_for_twelve_hours(ecr):
    given = ecr.get_authorization_token()["authorizationData"][0]
    assert base64.b64decode(given["authorizationToken"]).startswith(b"AWS:")
    left = given["expiresAt"] - datetime.datetime.now(datetime.timezone.utc)
    assert datetime.timedelta(hours=11, minutes=59) < left <= datetime.timedelta(hours=12)


def test_images(ecr, repository):
    name = {"repositoryName": repository}
    assert tags(ecr, repository) == [["1.0"], ["2.0"]]
    pages = ecr.get_paginator("list_images").paginate(**name, PaginationConfig={"PageSize": 1})
    assert sorted(one["imageTag"] for page in pages for one in page["imageIds"]) == ["1.0", "2.0"]
    answer = ecr.batch_get_image(**name, imageIds=[
        {"imageTag": "1.0"}, {"imageTag": "absent"}, {"imageDigest": ABSENT}, {}])
    assert [one["failureCode"] for one in answer["failures"]] \
        == ["ImageNotFound", "ImageNotFound", "MissingDigestAndTag"]
    image = answer["images"][0]
    digest = image["imageId"]["imageDigest"]

    put = {**name, "imageManifest": image["imageManifest"],
           "imageManifestMediaType": image["imageManifestMediaType"]}
    assert refused(lambda: ecr.put_image(**put, imageTag="1.0"))[0] == "ImageAlreadyExistsException"
    assert ecr.put_image(**put, imageTag="stable")["image"]["imageId"] \
        == {"imageDigest": digest, "imageTag": "stable"}
    assert tags(ecr, repository) == [["1.0", "stable"], ["2.0"]]
    ecr.put_image(**put, imageTag="2.0")
    assert tags(ecr, repository) == [[], ["1.0", "2.0", "stable"]], "the tag moved"
    ecr.put_image_tag_mutability(**name, imageTagMutability="IMMUTABLE")
    untagged = ecr.list_images(**name, filter={"tagStatus": "UNTAGGED"})["imageIds"][0]
    assert "imageTag" not in untagged
    other = ecr.batch_get_image(**name, imageIds=[untagged])["images"][0]
    assert refused(lambda: ecr.put_image(**name, imageManifest=other["imageManifest"],
                                         imageTag="2.0"))[0] == "ImageTagAlreadyExistsException"

    deleted = ecr.batch_delete_image(**name, imageIds=[
        {"imageTag": "2.0"}, {"imageTag": "absent"}, {"imageTag": "1.0", "imageDigest": ABSENT}])
    assert deleted["imageIds"] == [{"imageDigest": digest, "imageTag": "2.0"}]
    assert [one["failureCode"] for one in deleted["failures"]] \
        == ["ImageNotFound", "ImageTagDoesNotMatchDigest"]
    assert tags(ecr, repository) == [[], ["1.0", "stable"]], "a tag goes, its image stays"
    deleted = ecr.batch_delete_image(**name, imageIds=[{"imageDigest": digest}])["imageIds"]
    assert sorted(one["imageTag"] for one in deleted) == ["1.0", "stable"]
    assert refused(lambda: ecr.describe_images(**name, imageIds=[{"imageTag": "1.0"}]))[0] \
        == "ImageNotFoundException"
    assert refused(lambda: ecr.delete_repository(**name))[0] == "RepositoryNotEmptyException"


@pytest.fixture
def user(shared_outport):
    """A user who may log in to the registry, and nothing else: ECR's client with its key."""
    iam, name = shared_outport.client("iam"), "ecr-limited"
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="login", PolicyDocument=json.dumps({
        "Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"}]}))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    yield boto3.client(
        "ecr", endpoint_url=shared_outport.url, region_name="us-east-1",
        aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName=name, PolicyName="login")
    iam.delete_user(UserName=name)


def statement(effect, actions, principal="arn:aws:iam::000000000000:user/ecr-limited"):
    return {"Effect": effect, "Principal": {"AWS": principal}, "Action": actions}


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def test_a_repository_policy_decides_at_both_doors(shared_outport, ecr, repository, user, tmp_path):
    name, image = {"repositoryName": repository}, [{"imageTag": "1.0"}]
    token = user.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    login = base64.b64decode(token).decode()
    uri = shared_outport.repository_uri(repository)

    def pull():
        return run("skopeo", "copy", "--insecure-policy", "--src-creds", login,
                   f"docker://{uri}:1.0", f"oci:{tmp_path}/pulled:1.0", check=False)

    def get():
        return user.batch_get_image(**name, imageIds=image)

    assert refused(get)[0] == "AccessDeniedException"
    assert "denied" in pull().stderr
    pulls = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"]
    allowing = policy(statement("Allow", pulls))
    ecr.set_repository_policy(**name, policyText=allowing)
    assert json.loads(ecr.get_repository_policy(**name)["policyText"]) == json.loads(allowing)
    assert get()["images"] and pull().returncode == 0
    assert refused(lambda: user.describe_images(**name))[0] == "AccessDeniedException"
    ecr.set_repository_policy(**name, policyText=policy(
        statement("Allow", pulls), statement("Deny", ["ecr:BatchGetImage"])))
    code, message = refused(get)
    assert code == "AccessDeniedException" and "explicit deny" in message, message
    assert "denied" in pull().stderr
    # Of the account itself too, once it says that this is meant.
    everybody = policy(statement("Deny", ["ecr:SetRepositoryPolicy"], "*"))
    code, message = refused(lambda: ecr.set_repository_policy(**name, policyText=everybody))
    assert code == "InvalidParameterException" and "force" in message, message
    ecr.set_repository_policy(**name, policyText=everybody, force=True)
    assert refused(lambda: ecr.set_repository_policy(**name, policyText=allowing))[0] \
        == "AccessDeniedException"
    ecr.delete_repository_policy(**name)
    assert refused(lambda: ecr.get_repository_policy(**name))[0] \
        == "RepositoryPolicyNotFoundException"
    assert refused(lambda: ecr.set_repository_policy(**name, policyText="{}")) == (
        "InvalidParameterException", "Invalid parameter at 'PolicyText' failed to satisfy "
        "constraint: 'Invalid repository policy provided'")


def test_a_lifecycle_policy_is_previewed_and_expires_images(shared_outport, ecr, repository):
    name = {"repositoryName": repository}
    text = json.dumps({"rules": [{
        "rulePriority": 1, "description": "one image stays",
        "selection": {"tagStatus": "tagged", "tagPatternList": ["*.0"],
                      "countType": "imageCountMoreThan", "countNumber": 1},
        "action": {"type": "expire"}}]})
    ecr.start_lifecycle_policy_preview(**name, lifecyclePolicyText=text)
    ecr.get_waiter("lifecycle_policy_preview_complete").wait(**name)
    preview = ecr.get_lifecycle_policy_preview(**name)
    [going] = preview["previewResults"]
    assert going["action"]["type"] == "EXPIRE" and going["appliedRulePriority"] == 1
    assert preview["summary"]["expiringImageTotalCount"] == 1
    assert tags(ecr, repository) == [["1.0"], ["2.0"]], "a preview changes nothing"
    ecr.put_lifecycle_policy(**name, lifecyclePolicyText=text)
    until(lambda: len(tags(ecr, repository)) == 1, "one image is left")
    [left] = ecr.describe_images(**name)["imageDetails"]
    assert left["imageDigest"] != going["imageDigest"]
    kept = ecr.get_lifecycle_policy(**name)
    assert kept["lifecyclePolicyText"] == text and "lastEvaluatedAt" in kept
    ecr.delete_lifecycle_policy(**name)
    assert refused(lambda: ecr.get_lifecycle_policy(**name))[0] \
        == "LifecyclePolicyNotFoundException"


def test_settings_of_the_registry(ecr, repository):
    assert ecr.describe_registry()["replicationConfiguration"] == {"rules": []}
    rules = [{"scanFrequency": "SCAN_ON_PUSH",
              "repositoryFilters": [{"filter": "team/*", "filterType": "WILDCARD"}]}]
    ecr.put_registry_scanning_configuration(scanType="BASIC", rules=rules)
    assert ecr.get_registry_scanning_configuration()["scanningConfiguration"] \
        == {"scanType": "BASIC", "rules": rules}
    answer = ecr.batch_get_repository_scanning_configuration(repositoryNames=[repository, "absent"])
    assert answer["scanningConfigurations"][0]["scanFrequency"] == "SCAN_ON_PUSH"
    assert answer["failures"][0]["failureCode"] == "REPOSITORY_NOT_FOUND"
    ecr.put_registry_scanning_configuration(scanType="BASIC", rules=[])
    ecr.put_image_scanning_configuration(
        repositoryName=repository, imageScanningConfiguration={"scanOnPush": True})
    [shown] = ecr.describe_repositories(repositoryNames=[repository])["repositories"]
    assert shown["imageScanningConfiguration"] == {"scanOnPush": True}
    digest = ecr.describe_images(repositoryName=repository)["imageDetails"][0]["imageDigest"]
    assert ecr.list_image_referrers(
        repositoryName=repository, subjectId={"imageDigest": digest})["referrers"] == []
    assert ecr.get_account_setting(name="REGISTRY_POLICY_SCOPE")["value"] == "V1"
    replicate = policy({**statement("Allow", ["ecr:ReplicateImage"], "111111111111"),
                        "Resource": "arn:aws:ecr:us-east-1:000000000000:repository/*"})
    ecr.put_registry_policy(policyText=replicate)
    assert ecr.get_registry_policy()["policyText"] == replicate
    assert ecr.delete_registry_policy()["policyText"] == replicate
    assert refused(ecr.get_registry_policy)[0] == "RegistryPolicyNotFoundException"
