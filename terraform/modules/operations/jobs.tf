# The jobs, and how it is known that they ran: ECS reports every stopped task, and CloudWatch counts the reports.

data "aws_iam_policy_document" "scheduler_assumes" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

resource "aws_iam_role" "scheduler" {
  name               = "switchyard-scheduler"
  path               = "/switchyard/"
  assume_role_policy = data.aws_iam_policy_document.scheduler_assumes.json
}

data "aws_iam_policy_document" "scheduler" {
  statement {
    sid       = "RunJobs"
    actions   = ["ecs:RunTask"]
    resources = ["arn:${data.aws_partition.current.partition}:ecs:${local.here}:task-definition/switchyard-job-*"]
    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [var.cluster.arn]
    }
  }
  statement {
    sid       = "PassTheirRoles"
    actions   = ["iam:PassRole"]
    resources = concat([for job in var.operations.jobs : aws_iam_role.task[job.role].arn], [aws_iam_role.execution.arn])
    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ecs-tasks.amazonaws.com"]
    }
  }
}

resource "aws_iam_role_policy" "scheduler" {
  role   = aws_iam_role.scheduler.id
  policy = data.aws_iam_policy_document.scheduler.json
}

resource "aws_scheduler_schedule_group" "this" {
  name = "switchyard"
}

resource "aws_scheduler_schedule" "job" {
  for_each            = var.operations.jobs
  name                = "switchyard-${each.key}"
  group_name          = aws_scheduler_schedule_group.this.name
  schedule_expression = each.value.schedule
  state               = var.jobs_enabled ? "ENABLED" : "DISABLED"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = var.cluster.arn
    role_arn = aws_iam_role.scheduler.arn

    ecs_parameters {
      task_definition_arn = aws_ecs_task_definition.this["job-${each.key}"].arn
      launch_type         = "FARGATE"
      propagate_tags      = "TASK_DEFINITION"
      network_configuration {
        subnets          = var.network.subnet_ids
        security_groups  = [aws_security_group.this.id]
        assign_public_ip = false
      }
    }

    retry_policy {
      maximum_event_age_in_seconds = 1800
      maximum_retry_attempts       = 3
    }
  }

  depends_on = [aws_iam_role_policy.scheduler]
}

# A record of every task of people and jobs: who started it, its command, how it ended.
resource "aws_cloudwatch_log_group" "tasks" {
  name              = "/aws/events/switchyard-operations"
  retention_in_days = var.log_days
  kms_key_id        = var.logs_key_arn
}

resource "aws_cloudwatch_event_rule" "tasks" {
  name = "switchyard-operations-tasks"
  event_pattern = jsonencode({
    source      = ["aws.ecs"]
    detail-type = ["ECS Task State Change"]
    detail      = { clusterArn = [var.cluster.arn], lastStatus = ["STOPPED"], group = [for name, family in local.families : "family:switchyard-${name}"] }
  })
}

resource "aws_cloudwatch_event_target" "tasks" {
  rule      = aws_cloudwatch_event_rule.tasks.name
  target_id = "log"
  arn       = aws_cloudwatch_log_group.tasks.arn
}

data "aws_iam_policy_document" "tasks" {
  # As documented by AWS: a rule's ARN is sent with PutLogEvents, not with CreateLogStream.
  statement {
    actions   = ["logs:CreateLogStream"]
    resources = ["${aws_cloudwatch_log_group.tasks.arn}:*"]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com", "delivery.logs.amazonaws.com"]
    }
  }
  statement {
    actions   = ["logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.tasks.arn}:*"]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com", "delivery.logs.amazonaws.com"]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [aws_cloudwatch_event_rule.tasks.arn]
    }
  }
}

resource "aws_cloudwatch_log_resource_policy" "tasks" {
  policy_name     = "switchyard-operations"
  policy_document = data.aws_iam_policy_document.tasks.json
}

resource "aws_cloudwatch_log_metric_filter" "ran" {
  for_each       = var.operations.jobs
  name           = "switchyard-job-${each.key}-ran"
  log_group_name = aws_cloudwatch_log_group.tasks.name
  pattern        = "{ ($.detail.group = \"family:switchyard-job-${each.key}\") && ($.detail.containers[0].exitCode = 0) }"

  metric_transformation {
    namespace = "Switchyard"
    name      = "JobRan-${each.key}"
    value     = "1"
  }
}

# A task that was never started has no exit code.
resource "aws_cloudwatch_log_metric_filter" "failed" {
  for_each       = var.operations.jobs
  name           = "switchyard-job-${each.key}-failed"
  log_group_name = aws_cloudwatch_log_group.tasks.name
  pattern        = "{ ($.detail.group = \"family:switchyard-job-${each.key}\") && (($.detail.containers[0].exitCode != 0) || ($.detail.containers[0].exitCode NOT EXISTS)) }"

  metric_transformation {
    namespace = "Switchyard"
    name      = "JobFailed-${each.key}"
    value     = "1"
  }
}

resource "aws_cloudwatch_metric_alarm" "failed" {
  for_each            = var.operations.jobs
  alarm_name          = "switchyard-job-${each.key}-failed"
  alarm_description   = "${join(" ", each.value.command)} failed: see ${aws_cloudwatch_log_group.this.name}."
  namespace           = "Switchyard"
  metric_name         = aws_cloudwatch_log_metric_filter.failed[each.key].metric_transformation[0].name
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alerts_topic_arn]
  ok_actions          = [var.alerts_topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "missed" {
  for_each            = var.operations.jobs
  alarm_name          = "switchyard-job-${each.key}-missed"
  alarm_description   = "${join(" ", each.value.command)} has not succeeded for ${each.value.hours} hours."
  namespace           = "Switchyard"
  metric_name         = aws_cloudwatch_log_metric_filter.ran[each.key].metric_transformation[0].name
  statistic           = "Sum"
  period              = 3600
  evaluation_periods  = each.value.hours
  threshold           = 1
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"
  actions_enabled     = var.jobs_enabled
  alarm_actions       = [var.alerts_topic_arn]
  ok_actions          = [var.alerts_topic_arn]
}

# What a command prints as alarm=…
resource "aws_cloudwatch_log_metric_filter" "alarms" {
  name           = "switchyard-operations-alarms"
  log_group_name = aws_cloudwatch_log_group.this.name
  pattern        = "\"alarm=\""

  metric_transformation {
    namespace     = "Switchyard"
    name          = "Alarms-operations"
    value         = "1"
    default_value = "0"
  }
}

resource "aws_cloudwatch_metric_alarm" "logged" {
  alarm_name          = "switchyard-operations-logged-alarm"
  alarm_description   = "A command printed alarm=…: see ${aws_cloudwatch_log_group.this.name} and the runbook."
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
