# Each of these has an entry in docs/operate/runbook.md.

# Processes say alarm="…" in a log line that a person must see; the line has no payload.
resource "aws_cloudwatch_log_metric_filter" "alarms" {
  name           = "switchyard-${var.consumer.name}-alarms"
  log_group_name = aws_cloudwatch_log_group.this.name
  pattern        = "{ $.alarm = \"*\" }"

  metric_transformation {
    namespace     = "Switchyard"
    name          = "Alarms-${var.consumer.name}"
    value         = "1"
    default_value = "0"
  }
}

resource "aws_cloudwatch_metric_alarm" "said" {
  alarm_name          = "switchyard-${var.consumer.name}-said-alarm"
  alarm_description   = "A log line of ${var.consumer.name} carries alarm=…; look it up in the runbook."
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

# A consumer drains its own dead letters, so one that stays is one that nobody handles. Depth, not age: SQS leaves
# messages that were received three times or more out of ApproximateAgeOfOldestMessage.
resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  alarm_name          = "switchyard-${var.consumer.name}-dead-letters"
  alarm_description   = "Dead letters of ${var.consumer.name} have not been handled for 15 minutes."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.dead_letters.name }
  statistic           = "Minimum"
  period              = 300
  evaluation_periods  = 3
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alerts_topic_arn]
  ok_actions          = [var.alerts_topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "backlog" {
  alarm_name          = "switchyard-${var.consumer.name}-backlog"
  alarm_description   = "${var.consumer.name} has more waiting than all its tasks are meant to have, for 15 minutes."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.this.name }
  statistic           = "Minimum"
  period              = 300
  evaluation_periods  = 3
  threshold           = var.size.backlog_per_task * var.size.most
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alerts_topic_arn]
  ok_actions          = [var.alerts_topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "tasks" {
  alarm_name          = "switchyard-${var.consumer.name}-tasks"
  alarm_description   = "Fewer tasks of ${var.consumer.name} run than must, for 5 minutes."
  namespace           = "ECS/ContainerInsights"
  metric_name         = "RunningTaskCount"
  dimensions          = { ClusterName = var.cluster.name, ServiceName = aws_ecs_service.this.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 5
  threshold           = var.size.fewest
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = [var.alerts_topic_arn]
  ok_actions          = [var.alerts_topic_arn]
}

locals {
  # Metrics of the default bus have no bus among their dimensions.
  rule_dimensions = {
    for name, rule in aws_cloudwatch_event_rule.this :
    name => merge({ RuleName = name }, rule.event_bus_name == "default" ? {} : { EventBusName = rule.event_bus_name })
  }
}

# The rule matched and the queue did not take it: a policy or a key, at once, or a day of retries that are over. The
# emulators cannot show this. The event is in the dead letters, and the consumer takes it from there.
resource "aws_cloudwatch_metric_alarm" "undelivered" {
  for_each            = aws_cloudwatch_event_rule.this
  alarm_name          = "switchyard-${var.consumer.name}-undelivered-${each.key}"
  alarm_description   = "EventBridge could not deliver to ${var.consumer.queue}: see the queue's policy and the key's."
  namespace           = "AWS/Events"
  metric_name         = "FailedInvocations"
  dimensions          = local.rule_dimensions[each.key]
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alerts_topic_arn]
  ok_actions          = [var.alerts_topic_arn]
}

# Neither the queue nor its dead letters took it.
resource "aws_cloudwatch_metric_alarm" "lost" {
  for_each            = aws_cloudwatch_event_rule.this
  alarm_name          = "switchyard-${var.consumer.name}-lost-${each.key}"
  alarm_description   = "EventBridge has dropped an event for ${var.consumer.queue}: have its producer publish it again."
  namespace           = "AWS/Events"
  metric_name         = "InvocationsFailedToBeSentToDlq"
  dimensions          = local.rule_dimensions[each.key]
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alerts_topic_arn]
  ok_actions          = [var.alerts_topic_arn]
}
