locals {
  container = jsondecode(templatefile("${var.generated}/containers/${var.node}.json", var.facts))
  ports     = var.consumer.port == null ? [] : [var.consumer.port]
}

data "aws_region" "current" {}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/switchyard/${var.consumer.name}"
  retention_in_days = var.log_days
  kms_key_id        = var.logs_key_arn
}

resource "aws_ecs_task_definition" "this" {
  family                   = "switchyard-${var.consumer.name}"
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
    name      = var.consumer.name
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
    portMappings           = [for port in local.ports : { containerPort = port, protocol = "tcp" }]
    # ECS ignores the image's HEALTHCHECK.
    healthCheck = {
      # Healthy once it was ready: a deployment replaces no task by one that reaches nothing, and an outage restarts none.
      command     = ["CMD", "python", "-S", "-E", "/usr/local/lib/healthcheck.py", "/health/started"]
      interval    = 15
      timeout     = 5
      retries     = 3
      startPeriod = 120
    }
    # At SIGTERM the process stops polling and drains: SWITCHYARD_DRAIN_S is shorter.
    stopTimeout = 120
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this.name
        awslogs-region        = data.aws_region.current.region
        awslogs-stream-prefix = var.consumer.name
      }
    }
  }])
}

resource "aws_ecs_service" "this" {
  name                               = "switchyard-${var.consumer.name}"
  cluster                            = var.cluster.arn
  task_definition                    = aws_ecs_task_definition.this.arn
  desired_count                      = var.frozen ? 0 : var.size.fewest
  launch_type                        = "FARGATE"
  platform_version                   = "LATEST"
  propagate_tags                     = "SERVICE"
  enable_execute_command             = false
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = var.load_balancer == null ? null : 120

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.network.subnet_ids
    security_groups  = [aws_security_group.this.id]
    assign_public_ip = false
  }

  dynamic "load_balancer" {
    for_each = var.load_balancer == null ? [] : [var.load_balancer]
    content {
      target_group_arn = load_balancer.value.target_group_arn
      container_name   = var.consumer.name
      container_port   = var.consumer.port
    }
  }

  lifecycle {
    ignore_changes = [desired_count] # the autoscaler's
  }

  depends_on = [aws_iam_role_policy.task, aws_iam_role_policy.execution]
}
