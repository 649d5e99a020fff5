# docs/operate/runbook.md has a section for each alarm.

# A consumer drains its own dead-letter queue, so a message that stays is unhandled. Depth, not age: SQS leaves
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
  alarm_actions       = [var.shared.alerts_topic_arn]
  ok_actions          = [var.shared.alerts_topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "backlog" {
  for_each            = aws_sqs_queue.this
  alarm_name          = "switchyard-backlog-${each.value.name}"
  alarm_description   = "The backlog of ${each.key} has been above the target of its largest number of tasks for 15 minutes."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = each.value.name }
  statistic           = "Minimum"
  period              = 300
  evaluation_periods  = 3
  threshold           = var.task.size.backlog_per_task * var.task.size.most
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.shared.alerts_topic_arn]
  ok_actions          = [var.shared.alerts_topic_arn]
}

# A message that no task receives has been received less than three times, and so it counts here.
resource "aws_cloudwatch_metric_alarm" "age" {
  for_each            = aws_sqs_queue.this
  alarm_name          = "switchyard-age-${each.value.name}"
  alarm_description   = "The oldest message of ${each.key} has waited longer than ${var.oldest_message_s} s for three minutes."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = each.value.name }
  statistic           = "Minimum"
  period              = 60
  evaluation_periods  = 3
  threshold           = var.oldest_message_s
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.shared.alerts_topic_arn]
  ok_actions          = [var.shared.alerts_topic_arn]
}

locals {
  # Metrics of the default bus have no dimension for the bus.
  rule_dimensions = {
    for name, rule in aws_cloudwatch_event_rule.this :
    name => merge({ RuleName = name }, rule.event_bus_name == "default" ? {} : { EventBusName = rule.event_bus_name })
  }
}

# The rule matched and the delivery failed: at once because of a policy or a key, or after a day of retries.
# The emulators do not show this. The event is in the dead-letter queue, and the consumer receives it from there.
resource "aws_cloudwatch_metric_alarm" "undelivered" {
  for_each            = aws_cloudwatch_event_rule.this
  alarm_name          = "switchyard-${var.consumer.name}-undelivered-${each.key}"
  alarm_description   = "EventBridge could not deliver to ${var.consumer.queue}: check the policies of the queue and of its key."
  namespace           = "AWS/Events"
  metric_name         = "FailedInvocations"
  dimensions          = local.rule_dimensions[each.key]
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.shared.alerts_topic_arn]
  ok_actions          = [var.shared.alerts_topic_arn]
}

# The delivery failed to the queue and to its dead-letter queue.
resource "aws_cloudwatch_metric_alarm" "lost" {
  for_each            = aws_cloudwatch_event_rule.this
  alarm_name          = "switchyard-${var.consumer.name}-lost-${each.key}"
  alarm_description   = "EventBridge has dropped an event for ${var.consumer.queue}: its producer must publish it again."
  namespace           = "AWS/Events"
  metric_name         = "InvocationsFailedToBeSentToDlq"
  dimensions          = local.rule_dimensions[each.key]
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.shared.alerts_topic_arn]
  ok_actions          = [var.shared.alerts_topic_arn]
}
