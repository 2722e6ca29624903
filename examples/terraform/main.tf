# A service on Fargate, its image's repository and its log group, on an Outport that runs and is in the environment:
#
#     eval "$(sudo outport env)"
#     terraform init && terraform apply -target aws_ecr_repository.app     # the repository first, then its image
#     outport image load docker:app app:1.0                                # or docker push, as with Amazon ECR
#     terraform apply
#
# Credentials and region come from the environment. With `endpoint` empty, the same files are for Amazon's.
terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "endpoint" {
  description = "Where Outport listens, as `outport env` says it"
  type        = string
  default     = "http://127.0.0.1:4566"
}

provider "aws" {
  # What Outport serves. Another service would still be asked at Amazon's address.
  endpoints {
    ec2  = var.endpoint
    ecr  = var.endpoint
    ecs  = var.endpoint
    iam  = var.endpoint
    logs = var.endpoint
    sts  = var.endpoint
  }
  # There is no metadata service of EC2 to ask.
  skip_metadata_api_check = true
}

data "aws_region" "here" {}
data "aws_caller_identity" "here" {}

# The default VPC of the first start.
data "aws_subnets" "default" {
  filter {
    name   = "default-for-az"
    values = ["true"]
  }
}

resource "aws_ecr_repository" "app" {
  name         = "app"
  force_delete = true
}

resource "aws_cloudwatch_log_group" "app" {
  name              = "/ecs/app"
  retention_in_days = 7
}

resource "aws_ecs_cluster" "prod" {
  name = "prod"
}

resource "aws_iam_role" "execution" {
  name = "app-execution"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy_attachment" "execution" {
  role       = aws_iam_role.execution.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

resource "aws_ecs_task_definition" "app" {
  family                   = "app"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 256
  memory                   = 512
  execution_role_arn       = aws_iam_role.execution.arn
  container_definitions = jsonencode([{
    name         = "web"
    image        = "${aws_ecr_repository.app.repository_url}:1.0"
    essential    = true
    portMappings = [{ containerPort = 8000, hostPort = 8000, protocol = "tcp" }]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.app.name
        awslogs-region        = data.aws_region.here.name
        awslogs-stream-prefix = "app"
      }
    }
  }])
}

resource "aws_ecs_service" "app" {
  name                  = "app"
  cluster               = aws_ecs_cluster.prod.arn
  task_definition       = aws_ecs_task_definition.app.arn
  desired_count         = 2
  launch_type           = "FARGATE"
  wait_for_steady_state = true
  network_configuration {
    subnets = data.aws_subnets.default.ids
  }
}

output "service" {
  value = aws_ecs_service.app.id
}
