# Three dashboards: cost, latency and success. The figures come from the events, which are the transitions of the cases;
# sessions are in log records, never in a metric's dimension.

resource "aws_cloudwatch_log_group" "events" {
  name              = "/aws/events/switchyard-figures"
  retention_in_days = var.log_days
  kms_key_id        = var.logs_key_arn
}

locals {
  figures = {
    calls   = { source = [{ prefix = "switchyard." }], detail = { model_call = { model_id = [{ exists = true }] } } }
    endings = { source = ["switchyard.case_manager"], detail-type = ["CaseClosed"] }
  }
}

resource "aws_cloudwatch_event_rule" "figures" {
  for_each       = local.figures
  name           = "switchyard-figures-${each.key}"
  event_bus_name = var.bus
  event_pattern  = jsonencode(merge(each.value, { replay-name = [{ exists = false }] }))
}

resource "aws_cloudwatch_event_target" "figures" {
  for_each       = aws_cloudwatch_event_rule.figures
  rule           = each.value.name
  event_bus_name = var.bus
  target_id      = "figures"
  arn            = aws_cloudwatch_log_group.events.arn
}

data "aws_iam_policy_document" "events" {
  # As documented by AWS: a rule's ARN is sent with PutLogEvents, not with CreateLogStream.
  statement {
    actions   = ["logs:CreateLogStream"]
    resources = ["${aws_cloudwatch_log_group.events.arn}:*"]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com", "delivery.logs.amazonaws.com"]
    }
  }
  statement {
    actions   = ["logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.events.arn}:*"]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com", "delivery.logs.amazonaws.com"]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [for rule in aws_cloudwatch_event_rule.figures : rule.arn]
    }
  }
}

resource "aws_cloudwatch_log_resource_policy" "events" {
  policy_name     = "switchyard-figures"
  policy_document = data.aws_iam_policy_document.events.json
}

resource "aws_cloudwatch_log_metric_filter" "outcomes" {
  name           = "switchyard-outcomes"
  log_group_name = aws_cloudwatch_log_group.events.name
  pattern        = "{ $.detail-type = \"CaseClosed\" }"

  metric_transformation {
    namespace  = "Switchyard"
    name       = "CasesClosed"
    value      = "1"
    dimensions = { outcome = "$.detail.payload.outcome" }
  }
}

locals {
  queues = flatten([for consumer in var.consumers : consumer.queues])
}

resource "aws_cloudwatch_dashboard" "this" {
  for_each       = toset(["tokens", "latency", "success", "queues"])
  dashboard_name = "switchyard-${each.key}"
  dashboard_body = templatefile("${path.module}/${each.key}.json", {
    region = var.region
    log    = aws_cloudwatch_log_group.events.name
    depths = jsonencode([for queue in local.queues : ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue]])
    dead   = jsonencode([for consumer in var.consumers : ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", consumer.dead_letter_queue]])
    ages   = jsonencode([for queue in local.queues : ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", queue]])
  })
}
