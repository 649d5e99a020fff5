# The command line as ECS tasks: `switchyard migrate`, what people run, and the jobs on a schedule. Each role has a login
# and permissions of its own; nothing runs in between. The roles come from switchyard/infra/operations.py.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  here = "${data.aws_region.current.region}:${data.aws_caller_identity.current.account_id}"
  # A family of task definitions for each role, and one for each job.
  families = merge(
    { for name, role in var.operations.roles : name => { role = name, command = role.command } },
    { for name, job in var.operations.jobs : "job-${name}" => { role = job.role, command = job.command } },
  )
  people = { for name, role in var.operations.roles : name => role if role.people }
}

data "aws_iam_policy_document" "ecs_assumes" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

resource "aws_iam_role" "task" {
  for_each           = var.operations.roles
  name               = "switchyard-${each.key}"
  path               = "/switchyard/operations/"
  description        = each.value.purpose
  assume_role_policy = data.aws_iam_policy_document.ecs_assumes.json
}

resource "aws_iam_role_policy" "task" {
  for_each = aws_iam_role.task
  name     = "generated"
  role     = each.value.id
  policy   = templatefile("${var.generated}/iam/operations/${each.key}.task.json", var.facts)
}

resource "aws_iam_role" "execution" {
  name               = "switchyard-operations-start"
  path               = "/switchyard/execution/"
  assume_role_policy = data.aws_iam_policy_document.ecs_assumes.json
}

resource "aws_iam_role_policy" "execution" {
  name   = "generated"
  role   = aws_iam_role.execution.id
  policy = templatefile("${var.generated}/iam/operations.execution.json", var.facts)
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/switchyard/operations"
  retention_in_days = var.log_days
  kms_key_id        = var.logs_key_arn
}

resource "aws_security_group" "this" {
  name        = "switchyard-operations"
  description = "Tasks of people and jobs"
  vpc_id      = var.network.vpc_id
}

resource "aws_vpc_security_group_egress_rule" "endpoints" {
  security_group_id            = aws_security_group.this.id
  description                  = "AWS, through its endpoints"
  referenced_security_group_id = var.network.endpoints_group_id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

resource "aws_vpc_security_group_egress_rule" "s3" {
  security_group_id = aws_security_group.this.id
  description       = "S3, through its gateway"
  prefix_list_id    = var.network.s3_prefix_list_id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "databases" {
  for_each                     = var.database_group_ids
  security_group_id            = aws_security_group.this.id
  description                  = each.key
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_vpc_security_group_ingress_rule" "databases" {
  for_each                     = var.database_group_ids
  security_group_id            = each.value
  description                  = "People and jobs"
  referenced_security_group_id = aws_security_group.this.id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_ecs_task_definition" "this" {
  for_each                 = local.families
  family                   = "switchyard-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 512
  memory                   = 1024
  task_role_arn            = aws_iam_role.task[each.value.role].arn
  execution_role_arn       = aws_iam_role.execution.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }

  volume {
    name = "tmp"
  }

  container_definitions = jsonencode([{
    name                   = "cli"
    image                  = var.image
    essential              = true
    command                = each.value.command
    readonlyRootFilesystem = true
    user                   = "10001"
    linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"], add = [] } }
    mountPoints            = [{ sourceVolume = "tmp", containerPath = "/tmp", readOnly = false }]
    environment = concat(
      jsondecode(templatefile("${var.generated}/containers/operations/${each.value.role}.json", var.facts)).environment,
      [for name, value in var.extra_environment : { name = name, value = value }],
    )
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this.name
        awslogs-region        = data.aws_region.current.region
        awslogs-stream-prefix = each.key
      }
    }
  }])

  depends_on = [aws_iam_role_policy.task, aws_iam_role_policy.execution]
}
