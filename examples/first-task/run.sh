#!/bin/sh
# From an image to a running task and a service, with an Outport that runs and is in the environment:
#
#     eval "$(sudo outport env)"
#     docker build -t app . && ./run.sh docker-daemon:app:latest    # or oci:DIRECTORY:TAG, docker-archive:FILE
#
# Needs the AWS CLI (2.13 or 1.29, and newer), skopeo, and `outport` on the path.
set -eu
image=${1:?name an image as skopeo does, such as docker-daemon:app:latest}
cd "$(dirname "$0")"

# The repository, and the image in it.
uri=$(aws ecr create-repository --repository-name app --query repository.repositoryUri --output text)
aws ecr get-login-password | skopeo login --username AWS --password-stdin "${uri%%/*}"
skopeo copy --insecure-policy "$image" "docker://$uri:1.0"

# The execution role of the task definition: with its permissions images are pulled and logs are written.
aws iam get-role --role-name ecsTaskExecutionRole >/dev/null 2>&1 || {
  aws iam create-role --role-name ecsTaskExecutionRole --assume-role-policy-document "file://$PWD/trust.json" \
    --query Role.Arn --output text
  aws iam attach-role-policy --role-name ecsTaskExecutionRole \
    --policy-arn arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy
}
# Where they are written to.
aws logs create-log-group --log-group-name /ecs/app 2>/dev/null || true

# A task on Fargate. Its image has AWS's name: that is this registry, wherever it listens.
aws ecs register-task-definition --cli-input-json file://task.json --query taskDefinition.taskDefinitionArn
subnet=$(aws ec2 describe-subnets --query 'Subnets[0].SubnetId' --output text)
network="awsvpcConfiguration={subnets=[$subnet]}"
task=$(aws ecs run-task --launch-type FARGATE --task-definition app --network-configuration "$network" \
  --query 'tasks[0].taskArn' --output text)
aws ecs wait tasks-running --tasks "$task"

# A service of three.
aws ecs create-service --service-name app --desired-count 3 --launch-type FARGATE --task-definition app \
  --network-configuration "$network" --query service.serviceArn
aws ecs wait services-stable --services app
outport ps
outport logs "$task"

# A URL of the service.
outport open app
