# OTLP in from the tasks, out to X-Ray's OTLP endpoint, which keeps spans in CloudWatch Logs (Transaction Search).

resource "aws_service_discovery_private_dns_namespace" "this" {
  name = "switchyard.internal"
  vpc  = var.network.vpc_id
}

resource "aws_service_discovery_service" "collector" {
  name = "collector"
  dns_config {
    namespace_id   = aws_service_discovery_private_dns_namespace.this.id
    routing_policy = "MULTIVALUE"
    dns_records {
      type = "A"
      ttl  = 10
    }
  }
}

resource "aws_security_group" "collector" {
  name        = "switchyard-collector"
  description = "The collector of traces"
  vpc_id      = var.network.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "otlp" {
  security_group_id = aws_security_group.collector.id
  description       = "OTLP over HTTP from the VPC"
  cidr_ipv4         = var.network.cidr
  ip_protocol       = "tcp"
  from_port         = 4318
  to_port           = 4318
}

resource "aws_vpc_security_group_egress_rule" "endpoints" {
  security_group_id            = aws_security_group.collector.id
  description                  = "X-Ray and logs, through their endpoints"
  referenced_security_group_id = var.network.endpoints_group_id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

resource "aws_vpc_security_group_egress_rule" "s3" {
  security_group_id = aws_security_group.collector.id
  description       = "Image layers"
  prefix_list_id    = var.network.s3_prefix_list_id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
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

resource "aws_iam_role" "collector" {
  name               = "switchyard-collector"
  path               = "/switchyard/operations/"
  assume_role_policy = data.aws_iam_policy_document.ecs_assumes.json
}

data "aws_iam_policy_document" "collector" {
  statement {
    actions   = ["xray:PutSpans", "xray:PutSpansForIndexing", "xray:PutTraceSegments"]
    resources = ["*"] # X-Ray knows no resources for these
  }
}

data "aws_iam_policy_document" "collector_metrics" {
  statement {
    actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.metrics.arn}:*"]
  }
}

resource "aws_iam_role_policy" "collector_metrics" {
  name   = "metrics"
  role   = aws_iam_role.collector.id
  policy = data.aws_iam_policy_document.collector_metrics.json
}

resource "aws_iam_role_policy" "collector" {
  role   = aws_iam_role.collector.id
  policy = data.aws_iam_policy_document.collector.json
}

resource "aws_iam_role" "collector_start" {
  name               = "switchyard-collector-start"
  path               = "/switchyard/execution/"
  assume_role_policy = data.aws_iam_policy_document.ecs_assumes.json
}

data "aws_iam_policy_document" "collector_start" {
  statement {
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"] # the action knows no resources
  }
  statement {
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = ["arn:${data.aws_partition.current.partition}:ecr:${data.aws_region.current.region}:${data.aws_caller_identity.current.account_id}:repository/switchyard/collector"]
  }
  statement {
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.collector.arn}:*"]
  }
}

resource "aws_iam_role_policy" "collector_start" {
  role   = aws_iam_role.collector_start.id
  policy = data.aws_iam_policy_document.collector_start.json
}

resource "aws_cloudwatch_log_group" "metrics" {
  name              = "/switchyard/metrics"
  retention_in_days = var.log_days
  kms_key_id        = aws_kms_key.logs.arn
}

resource "aws_cloudwatch_log_group" "collector" {
  name              = "/switchyard/collector"
  retention_in_days = var.log_days
  kms_key_id        = aws_kms_key.logs.arn
}

locals {
  collector = yamlencode({
    extensions = {
      sigv4auth    = { region = data.aws_region.current.region, service = "xray" }
      health_check = { endpoint = "0.0.0.0:13133" }
    }
    receivers  = { otlp = { protocols = { http = { endpoint = "0.0.0.0:4318" } } } }
    processors = { batch = { send_batch_size = 1000, send_batch_max_size = 1000 }, memory_limiter = { check_interval = "1s", limit_percentage = 75 } }
    exporters = {
      "otlphttp/xray" = {
        traces_endpoint = "https://xray.${data.aws_region.current.region}.amazonaws.com/v1/traces"
        auth            = { authenticator = "sigv4auth" }
      }
      # Metrics as log lines of a format from which CloudWatch makes metrics; only these dimensions become series.
      awsemf = {
        namespace               = "Switchyard/Telemetry"
        region                  = data.aws_region.current.region
        log_group_name          = aws_cloudwatch_log_group.metrics.name
        dimension_rollup_option = "NoDimensionRollup"
        metric_declarations = [
          { dimensions = [["gen_ai.agent.name"], ["gen_ai.agent.name", "switchyard.failover.reason"]], metric_name_selectors = ["^gen_ai\\.client\\..*"] },
          { dimensions = [["service.name"]], metric_name_selectors = ["^messaging\\..*"] },
        ]
      }
    }
    service = {
      extensions = ["sigv4auth", "health_check"]
      pipelines = {
        traces  = { receivers = ["otlp"], processors = ["memory_limiter", "batch"], exporters = ["otlphttp/xray"] }
        metrics = { receivers = ["otlp"], processors = ["memory_limiter", "batch"], exporters = ["awsemf"] }
      }
    }
  })
}

resource "aws_ecs_task_definition" "collector" {
  family                   = "switchyard-collector"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 256
  memory                   = 512
  task_role_arn            = aws_iam_role.collector.arn
  execution_role_arn       = aws_iam_role.collector_start.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }

  container_definitions = jsonencode([{
    name                   = "collector"
    image                  = var.collector_image
    essential              = true
    command                = ["--config=env:COLLECTOR_CONFIG"]
    environment            = [{ name = "COLLECTOR_CONFIG", value = local.collector }]
    readonlyRootFilesystem = true
    portMappings           = [{ containerPort = 4318, protocol = "tcp" }]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.collector.name
        awslogs-region        = data.aws_region.current.region
        awslogs-stream-prefix = "collector"
      }
    }
  }])
}

# Without the collector spans are lost and cases go on: no service waits for it.
resource "aws_ecs_service" "collector" {
  name             = "switchyard-collector"
  cluster          = aws_ecs_cluster.this.arn
  task_definition  = aws_ecs_task_definition.collector.arn
  desired_count    = var.collectors
  launch_type      = "FARGATE"
  platform_version = "LATEST"

  network_configuration {
    subnets          = var.network.subnet_ids
    security_groups  = [aws_security_group.collector.id]
    assign_public_ip = false
  }

  service_registries {
    registry_arn = aws_service_discovery_service.collector.arn
  }
}

resource "aws_cloudwatch_metric_alarm" "collector" {
  alarm_name          = "switchyard-collector-tasks"
  alarm_description   = "For 5 minutes fewer collectors have run than should: spans and metrics are lost."
  namespace           = var.container_insights ? "ECS/ContainerInsights" : "AWS/ECS"
  metric_name         = var.container_insights ? "RunningTaskCount" : "CPUUtilization"
  dimensions          = { ClusterName = aws_ecs_cluster.this.name, ServiceName = aws_ecs_service.collector.name }
  statistic           = var.container_insights ? "Maximum" : "SampleCount"
  period              = 60
  evaluation_periods  = 5
  threshold           = var.container_insights ? var.collectors : min(var.collectors, 1)
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.alerts.arn]
  ok_actions          = [aws_sns_topic.alerts.arn]
}

# The collector is the only one that says so when AWS refuses what it exports.
resource "aws_cloudwatch_log_metric_filter" "refused" {
  name           = "switchyard-collector-refused"
  log_group_name = aws_cloudwatch_log_group.collector.name
  pattern        = "\"Exporting failed\""

  metric_transformation {
    namespace     = "Switchyard"
    name          = "CollectorRefused"
    value         = "1"
    default_value = "0"
  }
}

resource "aws_cloudwatch_metric_alarm" "refused" {
  alarm_name          = "switchyard-collector-refused"
  alarm_description   = "AWS refuses what the collector exports: see ${aws_cloudwatch_log_group.collector.name}."
  namespace           = "Switchyard"
  metric_name         = aws_cloudwatch_log_metric_filter.refused.metric_transformation[0].name
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 3
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alerts.arn]
  ok_actions          = [aws_sns_topic.alerts.arn]
}
