# The consumer's queue, and a queue of its own for each lane: what is in one waits behind nothing in another.
resource "aws_sqs_queue" "this" {
  for_each                   = toset(concat([var.consumer.queue], var.consumer.lanes))
  name                       = each.key
  visibility_timeout_seconds = var.queues.visibility_seconds
  message_retention_seconds  = var.queues.retention_seconds
  receive_wait_time_seconds  = 20
  # EventBridge rejects events above 1 MB, and our publisher those above 200 KB.
  max_message_size                  = 1048576
  kms_master_key_id                 = var.queues_key_arn
  kms_data_key_reuse_period_seconds = 3600
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters.arn
    maxReceiveCount     = var.queues.max_receives
  })
}

locals {
  queue_arns = { for name, queue in aws_sqs_queue.this : name => queue.arn }
}

resource "aws_sqs_queue" "dead_letters" {
  name                              = var.consumer.dead_letter_queue
  visibility_timeout_seconds        = var.queues.visibility_seconds
  message_retention_seconds         = var.queues.dead_letter_retention_seconds
  receive_wait_time_seconds         = 20
  max_message_size                  = 1048576
  kms_master_key_id                 = var.queues_key_arn
  kms_data_key_reuse_period_seconds = 3600
}

resource "aws_sqs_queue_redrive_allow_policy" "dead_letters" {
  queue_url = aws_sqs_queue.dead_letters.id
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = values(local.queue_arns)
  })
}

resource "aws_cloudwatch_event_rule" "this" {
  for_each       = var.consumer.rules
  name           = each.key
  event_bus_name = each.value.bus
  event_pattern  = each.value.pattern
}

resource "aws_cloudwatch_event_target" "this" {
  for_each       = aws_cloudwatch_event_rule.this
  rule           = each.value.name
  event_bus_name = each.value.event_bus_name
  target_id      = "queue"
  arn            = local.queue_arns[var.consumer.rules[each.key].queue]

  # After a day of failed deliveries EventBridge drops an event unless the target has a dead-letter queue.
  dead_letter_config {
    arn = aws_sqs_queue.dead_letters.arn
  }

  retry_policy {
    maximum_event_age_in_seconds = 86400
    maximum_retry_attempts       = 185
  }

  depends_on = [aws_sqs_queue_policy.this, aws_sqs_queue_policy.dead_letters]
}

data "aws_iam_policy_document" "queue" {
  for_each = merge(local.queue_arns, { dead_letters = aws_sqs_queue.dead_letters.arn })

  statement {
    sid       = "OwnRulesDeliver"
    actions   = ["sqs:SendMessage"]
    resources = [each.value]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [for rule in aws_cloudwatch_event_rule.this : rule.arn]
    }
  }

  statement {
    sid       = "NothingInTheClear"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [each.value]
    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_sqs_queue_policy" "this" {
  for_each  = aws_sqs_queue.this
  queue_url = each.value.id
  policy    = data.aws_iam_policy_document.queue[each.key].json
}

resource "aws_sqs_queue_policy" "dead_letters" {
  queue_url = aws_sqs_queue.dead_letters.id
  policy    = data.aws_iam_policy_document.queue["dead_letters"].json
}
