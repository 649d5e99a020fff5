# docs/operate/runbook.md has a section for each alarm.

# A log line with alarm="…" needs an operator's attention; the line has no payload.
resource "aws_cloudwatch_log_metric_filter" "alarms" {
  name           = "switchyard-${var.process.name}-alarms"
  log_group_name = aws_cloudwatch_log_group.this.name
  pattern        = "{ $.alarm = \"*\" }"

  metric_transformation {
    namespace     = "Switchyard"
    name          = "Alarms-${var.process.name}"
    value         = "1"
    default_value = "0"
  }
}

resource "aws_cloudwatch_metric_alarm" "logged" {
  alarm_name          = "switchyard-${var.process.name}-logged-alarm"
  alarm_description   = "A log line of ${var.process.name} has alarm=…: see the runbook."
  namespace           = "Switchyard"
  metric_name         = aws_cloudwatch_log_metric_filter.alarms.metric_transformation[0].name
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.shared.alerts_topic_arn]
  ok_actions          = [var.shared.alerts_topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "tasks" {
  alarm_name        = "switchyard-${var.process.name}-tasks"
  alarm_description = "For 5 minutes ${var.process.name} has had fewer tasks than its minimum."
  # Without Container Insights only none is noticed: a running task reports its CPU, and none reports nothing.
  namespace           = var.shared.cluster.insights ? "ECS/ContainerInsights" : "AWS/ECS"
  metric_name         = var.shared.cluster.insights ? "RunningTaskCount" : "CPUUtilization"
  dimensions          = { ClusterName = var.shared.cluster.name, ServiceName = aws_ecs_service.this.name }
  statistic           = var.shared.cluster.insights ? "Maximum" : "SampleCount"
  period              = 60
  evaluation_periods  = 5
  threshold           = var.task.frozen ? 0 : var.shared.cluster.insights ? var.task.size.fewest : min(var.task.size.fewest, 1)
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = [var.shared.alerts_topic_arn]
  ok_actions          = [var.shared.alerts_topic_arn]
}
