# The sending identity, the delivery events of emails, and the page of the opt-out link.

data "aws_region" "current" {}
data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

resource "aws_sesv2_email_identity" "this" {
  email_identity         = var.domain
  configuration_set_name = aws_sesv2_configuration_set.this.configuration_set_name

  dkim_signing_attributes {
    next_signing_key_length = "RSA_2048_BIT"
  }
}

resource "aws_sesv2_email_identity_mail_from_attributes" "this" {
  email_identity         = aws_sesv2_email_identity.this.email_identity
  mail_from_domain       = "bounce.${var.domain}"
  behavior_on_mx_failure = "REJECT_MESSAGE"
}

resource "aws_sesv2_configuration_set" "this" {
  configuration_set_name = "switchyard"

  delivery_options {
    tls_policy = "REQUIRE"
  }
  reputation_options {
    reputation_metrics_enabled = true
  }
  sending_options {
    sending_enabled = var.sending_enabled
  }
  suppression_options {
    suppressed_reasons = ["BOUNCE", "COMPLAINT"]
  }
}

# SES publishes to the account's default bus only; the consumer `email_feedback` has its rule there.
resource "aws_sesv2_configuration_set_event_destination" "this" {
  configuration_set_name = aws_sesv2_configuration_set.this.configuration_set_name
  event_destination_name = "default-bus"

  event_destination {
    enabled              = true
    matching_event_types = ["SEND", "DELIVERY", "DELIVERY_DELAY", "BOUNCE", "COMPLAINT", "REJECT"]
    event_bridge_destination {
      event_bus_arn = "arn:${data.aws_partition.current.partition}:events:${data.aws_region.current.region}:${data.aws_caller_identity.current.account_id}:event-bus/default"
    }
  }
}

# The evidence for an email whose delivery status is unknown: SES tags its events with case_id and content_sha256. SES's
# whole event names recipients and subjects, and no erasure reaches this log, so only what follows is kept.
resource "aws_cloudwatch_log_group" "events" {
  name              = "/aws/events/switchyard-email-feedback"
  retention_in_days = var.log_days
  kms_key_id        = var.logs_key_arn
}

resource "aws_cloudwatch_event_rule" "events" {
  name          = "switchyard-email-feedback-evidence"
  event_pattern = jsonencode({ source = ["aws.ses"], detail = { mail = { tags = { case_id = [{ exists = true }] } } } })
}

resource "aws_cloudwatch_event_target" "events" {
  rule      = aws_cloudwatch_event_rule.events.name
  target_id = "log"
  arn       = aws_cloudwatch_log_group.events.arn

  # A log group takes a timestamp and a message, which is text.
  input_transformer {
    input_paths = {
      time       = "$.time"
      event_type = "$.detail.eventType"
      message_id = "$.detail.mail.messageId"
      case_id    = "$.detail.mail.tags.case_id[0]"
      content    = "$.detail.mail.tags.content_sha256[0]"
    }
    input_template = "{\"timestamp\": <time>, \"message\": \"<event_type> message=<message_id> case_id=<case_id> content_sha256=<content>\"}"
  }
}

# Without these events an unknown delivery status cannot be resolved.
resource "aws_cloudwatch_metric_alarm" "evidence" {
  alarm_name          = "switchyard-email-feedback-evidence-undelivered"
  alarm_description   = "EventBridge could not write SES events to ${aws_cloudwatch_log_group.events.name}: check the log group's policy."
  namespace           = "AWS/Events"
  metric_name         = "FailedInvocations"
  dimensions          = { RuleName = aws_cloudwatch_event_rule.events.name }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alerts_topic_arn]
  ok_actions          = [var.alerts_topic_arn]
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
      values   = [aws_cloudwatch_event_rule.events.arn]
    }
  }
}

resource "aws_cloudwatch_log_resource_policy" "events" {
  policy_name     = "switchyard-email-feedback-events"
  policy_document = data.aws_iam_policy_document.events.json
}
