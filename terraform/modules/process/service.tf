# A process on Fargate: what every process has, whether it handles a queue or answers requests.

locals {
  container = jsondecode(templatefile("${var.shared.generated}/containers/${var.node}.json", var.shared.facts))
  ports     = var.process.port == null ? [] : [var.process.port]
}

data "aws_region" "current" {}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/switchyard/${var.process.name}"
  retention_in_days = var.shared.log_days
  kms_key_id        = var.shared.logs_key_arn
}

resource "aws_ecs_task_definition" "this" {
  family                   = "switchyard-${var.process.name}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.task.size.cpu
  memory                   = var.task.size.memory
  task_role_arn            = aws_iam_role.task.arn
  execution_role_arn       = aws_iam_role.execution.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.shared.architecture
  }

  volume {
    name = "tmp"
  }

  container_definitions = jsonencode([{
    name      = var.process.name
    image     = var.task.image
    essential = true
    environment = concat(
      local.container.environment,
      [for name, value in var.task.extra_environment : { name = name, value = value }],
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
    # At SIGTERM the process stops polling and listening, and drains: SWITCHYARD_DRAIN_S is shorter.
    stopTimeout = 120
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this.name
        awslogs-region        = data.aws_region.current.region
        awslogs-stream-prefix = var.process.name
      }
    }
  }])
}

resource "aws_ecs_service" "this" {
  name                               = "switchyard-${var.process.name}"
  cluster                            = var.shared.cluster.arn
  task_definition                    = aws_ecs_task_definition.this.arn
  desired_count                      = var.task.frozen ? 0 : var.task.size.fewest
  platform_version                   = "LATEST"
  propagate_tags                     = "SERVICE"
  enable_execute_command             = false
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = var.load_balancer == null ? null : 120

  # AWS may stop a Spot task after two minutes' notice: it drains as in a deployment, and ECS starts another.
  capacity_provider_strategy {
    capacity_provider = var.shared.cluster.spot ? "FARGATE_SPOT" : "FARGATE"
    weight            = 1
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.task.network.subnet_ids
    security_groups  = [aws_security_group.this.id]
    assign_public_ip = false
  }

  dynamic "load_balancer" {
    for_each = var.load_balancer == null ? [] : [var.load_balancer]
    content {
      target_group_arn = load_balancer.value.target_group_arn
      container_name   = var.process.name
      container_port   = var.process.port
    }
  }

  dynamic "service_registries" {
    for_each = var.registry_arn == null ? [] : [var.registry_arn]
    content {
      registry_arn = service_registries.value
    }
  }

  lifecycle {
    ignore_changes = [desired_count] # the autoscaler's
  }

  depends_on = [aws_iam_role_policy.task, aws_iam_role_policy.execution]
}

# Registering the target moves the count of tasks into its bounds at once. While it is frozen, no alarm and no backlog
# can start a task.
resource "aws_appautoscaling_target" "this" {
  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${var.shared.cluster.name}/${aws_ecs_service.this.name}"
  min_capacity       = var.task.frozen ? 0 : var.task.size.fewest
  max_capacity       = var.task.frozen ? 0 : var.task.size.most

  suspended_state {
    dynamic_scaling_in_suspended  = var.task.frozen
    dynamic_scaling_out_suspended = var.task.frozen
    scheduled_scaling_suspended   = var.task.frozen
  }
}
