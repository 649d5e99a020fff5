# The identity service: a process without a queue, called over mutual TLS by agents and by the ingress. It terminates
# TLS itself: no load balancer is in between, and its name resolves to its tasks.

locals {
  container = jsondecode(templatefile("${var.generated}/containers/${var.node}.json", var.facts))
}

data "aws_region" "current" {}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/switchyard/${var.server.name}"
  retention_in_days = var.log_days
  kms_key_id        = var.logs_key_arn
}

resource "aws_service_discovery_service" "this" {
  name = var.server.name
  dns_config {
    namespace_id   = var.namespace_id
    routing_policy = "MULTIVALUE"
    dns_records {
      type = "A"
      ttl  = 10
    }
  }
}

resource "aws_ecs_task_definition" "this" {
  family                   = "switchyard-${var.server.name}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.size.cpu
  memory                   = var.size.memory
  task_role_arn            = aws_iam_role.task.arn
  execution_role_arn       = aws_iam_role.execution.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }

  volume {
    name = "tmp"
  }

  container_definitions = jsonencode([{
    name      = var.server.name
    image     = var.image
    essential = true
    environment = concat(
      local.container.environment,
      [for name, value in var.extra_environment : { name = name, value = value }],
    )
    secrets                = local.container.secrets
    readonlyRootFilesystem = true
    user                   = "10001"
    linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"], add = [] } }
    mountPoints            = [{ sourceVolume = "tmp", containerPath = "/tmp", readOnly = false }]
    portMappings           = [{ containerPort = var.server.port, protocol = "tcp" }]
    # ECS ignores the image's HEALTHCHECK.
    healthCheck = {
      command     = ["CMD", "python", "-S", "-E", "/usr/local/lib/healthcheck.py", "/health/started"]
      interval    = 15
      timeout     = 5
      retries     = 3
      startPeriod = 120
    }
    # At SIGTERM the process stops listening and finishes its answers for 20 s.
    stopTimeout = 120
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this.name
        awslogs-region        = data.aws_region.current.region
        awslogs-stream-prefix = var.server.name
      }
    }
  }])
}

resource "aws_ecs_service" "this" {
  name                               = "switchyard-${var.server.name}"
  cluster                            = var.cluster.arn
  task_definition                    = aws_ecs_task_definition.this.arn
  desired_count                      = var.frozen ? 0 : var.size.fewest
  launch_type                        = "FARGATE"
  platform_version                   = "LATEST"
  propagate_tags                     = "SERVICE"
  enable_execute_command             = false
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.network.subnet_ids
    security_groups  = [aws_security_group.this.id]
    assign_public_ip = false
  }

  service_registries {
    registry_arn = aws_service_discovery_service.this.arn
  }

  depends_on = [aws_iam_role_policy.task, aws_iam_role_policy.execution]
}

# A log line with alarm="…" needs an operator's attention; the line has no payload.
resource "aws_cloudwatch_log_metric_filter" "alarms" {
  name           = "switchyard-${var.server.name}-alarms"
  log_group_name = aws_cloudwatch_log_group.this.name
  pattern        = "{ $.alarm = \"*\" }"

  metric_transformation {
    namespace     = "Switchyard"
    name          = "Alarms-${var.server.name}"
    value         = "1"
    default_value = "0"
  }
}

resource "aws_cloudwatch_metric_alarm" "logged" {
  alarm_name          = "switchyard-${var.server.name}-logged-alarm"
  alarm_description   = "A log line of ${var.server.name} has alarm=…: see the runbook."
  namespace           = "Switchyard"
  metric_name         = aws_cloudwatch_log_metric_filter.alarms.metric_transformation[0].name
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alerts_topic_arn]
  ok_actions          = [var.alerts_topic_arn]
}
