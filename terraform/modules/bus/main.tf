# The event bus, its key, and the key that encrypts every queue behind it.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  roles = "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:role/switchyard"
  arn   = "arn:${data.aws_partition.current.partition}:events:${data.aws_region.current.region}:${data.aws_caller_identity.current.account_id}:event-bus/${var.name}"
  # Who may publish under each source; a role of another account needs the statement that allows it, too.
  publishers = merge(
    { for node, source in var.sources : source => ["${local.roles}/${node == var.function ? "ingress" : "tasks"}/switchyard-${replace(node, "_", "-")}"] },
    { for source, upstream in var.upstreams : source => [upstream.role_arn] },
  )
  foreign = { for source, upstream in var.upstreams : source => upstream if split(":", upstream.role_arn)[4] != data.aws_caller_identity.current.account_id }
}

resource "aws_cloudwatch_event_bus" "this" {
  name               = var.name
  kms_key_identifier = aws_kms_key.bus.arn

  # What EventBridge cannot encrypt or decrypt; without it such an event is lost.
  dead_letter_config {
    arn = aws_sqs_queue.undecryptable.arn
  }

  # EventBridge tries the key when the bus is made.
  depends_on = [aws_kms_key_policy.bus]
}

resource "aws_kms_key" "bus" {
  description             = "Events on Switchyard's bus"
  enable_key_rotation     = true
  deletion_window_in_days = 30
}

resource "aws_kms_key_policy" "bus" {
  key_id = aws_kms_key.bus.key_id
  policy = data.aws_iam_policy_document.bus_key.json
}

data "aws_iam_policy_document" "bus_key" {
  statement {
    sid       = "AccountAdministersThroughIam"
    actions   = ["kms:*"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = ["arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:root"]
    }
  }
  statement {
    sid       = "EventBridgeEncryptsThisBus"
    actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"]
    resources = ["*"]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

resource "aws_sqs_queue" "undecryptable" {
  name                      = "switchyard-bus-dlq"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

data "aws_iam_policy_document" "undecryptable" {
  statement {
    sid       = "TheBusDelivers"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.undecryptable.arn]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [local.arn]
    }
  }
}

resource "aws_sqs_queue_policy" "undecryptable" {
  queue_url = aws_sqs_queue.undecryptable.id
  policy    = data.aws_iam_policy_document.undecryptable.json
}

resource "aws_cloudwatch_metric_alarm" "undecryptable" {
  alarm_name          = "switchyard-bus-undecryptable"
  alarm_description   = "EventBridge could not encrypt or decrypt events of the bus: check its key's policy and state."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.undecryptable.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alerts_topic_arn]
  ok_actions          = [var.alerts_topic_arn]
}

# Our roles need no statement that allows them; each source is bound to the role that publishes under it.
data "aws_iam_policy_document" "bus" {
  dynamic "statement" {
    for_each = local.publishers
    content {
      sid       = "OnlyItsRole${replace(title(replace(replace(statement.key, ".", " "), "_", " ")), " ", "")}"
      effect    = "Deny"
      actions   = ["events:PutEvents"]
      resources = [aws_cloudwatch_event_bus.this.arn]
      principals {
        type        = "AWS"
        identifiers = ["*"]
      }
      condition {
        test     = "ForAnyValue:StringEquals"
        variable = "events:source"
        values   = [statement.key]
      }
      condition {
        test     = "ArnNotEquals"
        variable = "aws:PrincipalArn"
        values   = statement.value
      }
    }
  }
  statement {
    sid       = "NoOtherSource"
    effect    = "Deny"
    actions   = ["events:PutEvents"]
    resources = [aws_cloudwatch_event_bus.this.arn]
    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
    condition {
      test     = "ForAnyValue:StringNotEquals"
      variable = "events:source"
      values   = keys(local.publishers)
    }
  }
  dynamic "statement" {
    for_each = local.foreign
    content {
      sid       = "Upstream${replace(title(replace(replace(statement.key, ".", " "), "_", " ")), " ", "")}"
      actions   = ["events:PutEvents"]
      resources = [aws_cloudwatch_event_bus.this.arn]
      principals {
        type        = "AWS"
        identifiers = [statement.value.role_arn]
      }
      condition {
        test     = "ForAllValues:StringEquals"
        variable = "events:source"
        values   = [statement.key]
      }
      condition {
        test     = "ForAllValues:StringEquals"
        variable = "events:detail-type"
        values   = statement.value.types
      }
      # ForAllValues is true for an absent key.
      condition {
        test     = "Null"
        variable = "events:source"
        values   = ["false"]
      }
      condition {
        test     = "Null"
        variable = "events:detail-type"
        values   = ["false"]
      }
    }
  }
}

resource "aws_cloudwatch_event_bus_policy" "this" {
  event_bus_name = aws_cloudwatch_event_bus.this.name
  policy         = data.aws_iam_policy_document.bus.json
}

# Attached to a task role it stops what the role publishes, within seconds: docs/operate/runbook.md.
resource "aws_iam_policy" "stop_publishing" {
  name        = "switchyard-stop-publishing"
  path        = "/switchyard/"
  description = "Denies a role every event"
  policy      = data.aws_iam_policy_document.stop_publishing.json
}

data "aws_iam_policy_document" "stop_publishing" {
  statement {
    sid       = "StopPublishing"
    effect    = "Deny"
    actions   = ["events:PutEvents"]
    resources = ["*"]
  }
}

resource "aws_kms_key" "queues" {
  description             = "Messages in Switchyard's queues"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.queues_key.json
}

resource "aws_kms_alias" "queues" {
  name          = "alias/switchyard-queues"
  target_key_id = aws_kms_key.queues.key_id
}

data "aws_iam_policy_document" "queues_key" {
  statement {
    sid       = "AccountAdministersThroughIam"
    actions   = ["kms:*"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = ["arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:root"]
    }
  }
  # Without it EventBridge cannot deliver to an encrypted queue; only FailedInvocations shows that. No condition on
  # aws:SourceAccount: EventBridge does not send it to KMS. The queue's policy restricts which rules may send.
  statement {
    sid       = "EventBridgeDelivers"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = ["*"]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
  }
}
