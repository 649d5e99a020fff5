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
    failed  = { source = [{ prefix = "switchyard." }], detail-type = ["TaskFailed"], detail = { payload = { code = ["models_failed"] } } }
    endings = { source = ["switchyard.case_manager"], detail-type = ["CaseClosed"] }
    budgets = { source = ["switchyard.case_manager"], detail-type = ["BudgetReached"] }
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

# Objectives are measured on the events, which are what happened. Each filter is one series, or one per value of its
# dimension; a session or a case is never one.
locals {
  outcomes = { for outcome, class in var.outcomes : class => outcome... }
  counts = {
    CasesClosed    = { pattern = "{ $.detail-type = \"CaseClosed\" }" }
    CasesReached   = { pattern = "{ ($.detail-type = \"CaseClosed\") && (${join(" || ", [for outcome in local.outcomes.reached : "($.detail.payload.outcome = \"${outcome}\")"])}) }" }
    CasesFailed    = { pattern = "{ ($.detail-type = \"CaseClosed\") && (${join(" || ", [for outcome in local.outcomes.failed : "($.detail.payload.outcome = \"${outcome}\")"])}) }" }
    ModelAnswers   = { pattern = "{ $.detail.model_call.model_id = \"*\" }" }
    ModelFailovers = { pattern = "{ ($.detail.model_call.model_id = \"*\") && ($.detail.model_call.reason != \"primary\") }" }
    ModelsFailed   = { pattern = "{ ($.detail-type = \"TaskFailed\") && ($.detail.payload.code = \"models_failed\") }" }
  }
}

resource "aws_cloudwatch_log_metric_filter" "counts" {
  for_each       = local.counts
  name           = "switchyard-${each.key}"
  log_group_name = aws_cloudwatch_log_group.events.name
  pattern        = each.value.pattern

  metric_transformation {
    namespace     = "Switchyard"
    name          = each.key
    value         = "1"
    default_value = "0"
  }
}

resource "aws_cloudwatch_log_metric_filter" "latency" {
  name           = "switchyard-ModelLatency"
  log_group_name = aws_cloudwatch_log_group.events.name
  pattern        = "{ $.detail.model_call.latency_ms = * }"

  metric_transformation {
    namespace  = "Switchyard"
    name       = "ModelLatency"
    value      = "$.detail.model_call.latency_ms"
    unit       = "Milliseconds"
    dimensions = { agent = "$.detail.node_from" }
  }
}

# A tenant's money, at each threshold of its day: one event per tenant and day, so one data point is an alarm.
resource "aws_cloudwatch_log_metric_filter" "budget" {
  for_each       = toset(["50", "80", "100"])
  name           = "switchyard-Budget${each.key}"
  log_group_name = aws_cloudwatch_log_group.events.name
  pattern        = "{ ($.detail-type = \"BudgetReached\") && ($.detail.payload.percent = ${each.key}) }"

  metric_transformation {
    namespace     = "Switchyard"
    name          = "Budget${each.key}"
    value         = "1"
    default_value = "0"
  }
}

resource "aws_cloudwatch_metric_alarm" "budget" {
  for_each            = aws_cloudwatch_log_metric_filter.budget
  alarm_name          = "switchyard-budget-${each.key}"
  alarm_description   = "A tenant has spent ${each.key} % of what it may spend on models today."
  namespace           = "Switchyard"
  metric_name         = each.value.metric_transformation[0].name
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alerts_topic_arn]
  ok_actions          = [var.alerts_topic_arn]
}

# A share counts only from ten in the period on: one of two is no outage.
resource "aws_cloudwatch_metric_alarm" "share" {
  for_each = {
    failovers    = { part = "ModelFailovers", of = "ModelAnswers", above = var.objectives.failover_percent, text = "answers did not come from the primary model" }
    failed-cases = { part = "CasesFailed", of = "CasesClosed", above = var.objectives.failed_percent, text = "cases failed or expired" }
  }
  alarm_name          = "switchyard-slo-${each.key}"
  alarm_description   = "For ten minutes more than ${each.value.above} % of ${each.value.text}."
  evaluation_periods  = 2
  threshold           = each.value.above
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alerts_topic_arn]
  ok_actions          = [var.alerts_topic_arn]

  metric_query {
    id          = "share"
    label       = each.key
    expression  = "IF(all >= 10, 100 * part / all, 0)"
    return_data = true
  }
  metric_query {
    id = "part"
    metric {
      namespace   = "Switchyard"
      metric_name = each.value.part
      period      = 300
      stat        = "Sum"
    }
  }
  metric_query {
    id = "all"
    metric {
      namespace   = "Switchyard"
      metric_name = each.value.of
      period      = 300
      stat        = "Sum"
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "models_failed" {
  alarm_name          = "switchyard-slo-models-failed"
  alarm_description   = "For ten minutes tasks have ended because no model answered."
  namespace           = "Switchyard"
  metric_name         = "ModelsFailed"
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 2
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alerts_topic_arn]
  ok_actions          = [var.alerts_topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "latency" {
  for_each            = var.agents
  alarm_name          = "switchyard-slo-latency-${each.value}"
  alarm_description   = "For 15 minutes the 95th percentile of ${each.key}'s model calls was above ${var.objectives.model_p95_ms} ms."
  namespace           = "Switchyard"
  metric_name         = "ModelLatency"
  dimensions          = { agent = each.key }
  extended_statistic  = "p95"
  period              = 300
  evaluation_periods  = 3
  threshold           = var.objectives.model_p95_ms
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  # A percentile of few values is one of them.
  evaluate_low_sample_count_percentiles = "ignore"
  alarm_actions                         = [var.alerts_topic_arn]
  ok_actions                            = [var.alerts_topic_arn]
}

# A whole case, from its submission to its ending, as the case manager logs it: the events have no such number, and
# the collector's histograms keep no percentile in CloudWatch.
resource "aws_cloudwatch_log_metric_filter" "cases" {
  name           = "switchyard-CaseDuration"
  log_group_name = var.cases_log_group
  pattern        = "{ ($.event = \"case.closed\") && ($.duration_ms = *) }"

  metric_transformation {
    namespace  = "Switchyard"
    name       = "CaseDuration"
    value      = "$.duration_ms"
    unit       = "Milliseconds"
    dimensions = { playbook = "$.playbook" }
  }
}

resource "aws_cloudwatch_metric_alarm" "cases" {
  for_each            = var.objectives.case_p95_s
  alarm_name          = "switchyard-slo-case-${each.key}"
  alarm_description   = "For 15 minutes the 95th percentile of ${each.key}'s cases was above ${each.value} s."
  namespace           = "Switchyard"
  metric_name         = aws_cloudwatch_log_metric_filter.cases.metric_transformation[0].name
  dimensions          = { playbook = each.key }
  extended_statistic  = "p95"
  period              = 300
  evaluation_periods  = 3
  threshold           = each.value * 1000
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  # A percentile of few values is one of them.
  evaluate_low_sample_count_percentiles = "ignore"
  alarm_actions                         = [var.alerts_topic_arn]
  ok_actions                            = [var.alerts_topic_arn]
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
    cases  = var.cases_log_group
    depths = jsonencode([for queue in local.queues : ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue]])
    dead   = jsonencode([for consumer in var.consumers : ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", consumer.dead_letter_queue]])
    ages   = jsonencode([for queue in local.queues : ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", queue]])
  })
}
