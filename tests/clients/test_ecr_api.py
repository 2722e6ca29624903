"""ECR through boto3: repositories and what becomes of images as they are pushed, tagged and deleted."""

import base64
import datetime

import botocore.exceptions
import pytest

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
