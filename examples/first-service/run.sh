#!/bin/sh
# A service on Fargate: made, and brought to another image while it answers. With an Outport that runs and is in the
# environment:
#
#     eval "$(sudo outport env)"
#     ./run.sh docker:app:1.0 docker:app:2.0      # images as `outport image load` takes them: also a file or a directory
#
# Needs the AWS CLI (2.13 or 1.29, and newer) and `outport` on the path.
set -eu
image=${1:?name an image as outport image load takes it, such as docker:app:1.0}
next=${2:?name the image that comes next}
here=$(cd "$(dirname "$0")" && pwd)
made=$(mktemp -d)
trap 'rm -r "$made"' EXIT

# A revision of the task definition for a tag; its ARN.
register() {
  sed "s/:TAG/:$1/" "$here/task.json" >"$made/task.json"
  aws ecs register-task-definition --cli-input-json "file://$made/task.json" \
    --query taskDefinition.taskDefinitionArn --output text
}

# Until the deployment is through. `aws ecs wait services-stable` does it too, and looks every 15 seconds.
deployed() {
  while state=$(aws ecs describe-services --services web --output text \
    --query 'services[0].deployments[?status==`PRIMARY`].rolloutState') && [ "$state" != COMPLETED ]; do
    [ "$state" != FAILED ] || { outport events web; exit 1; }
    sleep 1
  done
}

# The execution role of the task definition: with its permissions images are pulled and logs are written.
aws iam get-role --role-name ecsTaskExecutionRole >/dev/null 2>&1 || {
  aws iam create-role --role-name ecsTaskExecutionRole --assume-role-policy-document "file://$here/trust.json" \
    --query Role.Arn --output text
  aws iam attach-role-policy --role-name ecsTaskExecutionRole \
    --policy-arn arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy
}
# Where they are written to.
aws logs create-log-group --log-group-name /ecs/web 2>/dev/null || true

outport image load "$image" web:1.0
first=$(register 1.0)

# service.json is what create-service takes, but for what only this Outport knows: a subnet of the default VPC.
subnet=$(aws ec2 describe-subnets --query 'Subnets[0].SubnetId' --output text)
sed "s/SUBNET/$subnet/" "$here/service.json" >"$made/service.json"
aws ecs create-service --cli-input-json "file://$made/service.json" --task-definition "$first" \
  --query service.serviceArn --output text
deployed
outport ps

# New tasks are there before the old ones go.
outport image load "$next" web:2.0
second=$(register 2.0)
aws ecs update-service --service web --task-definition "$second" --query service.taskDefinition --output text
deployed
outport events web
outport open web --print
