# The bus, and the key under which every queue behind it lies.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

resource "aws_cloudwatch_event_bus" "this" {
  name = var.name
}

data "aws_iam_policy_document" "bus" {
  # Our own roles need no resource policy; whoever else shares the account must not put under our sources.
  statement {
    sid       = "OnlyOurRolesPublishAsSwitchyard"
    effect    = "Deny"
    actions   = ["events:PutEvents"]
    resources = [aws_cloudwatch_event_bus.this.arn]
    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
    condition {
      test     = "ForAnyValue:StringLike"
      variable = "events:source"
      values   = ["${var.source_prefix}*"]
    }
    condition {
      test     = "ArnNotLike"
      variable = "aws:PrincipalArn"
      values   = ["arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:role/switchyard/tasks/*"]
    }
  }
}

resource "aws_cloudwatch_event_bus_policy" "this" {
  event_bus_name = aws_cloudwatch_event_bus.this.name
  policy         = data.aws_iam_policy_document.bus.json
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
  # Without it EventBridge delivers nothing to an encrypted queue, and says so only in FailedInvocations. No condition on
  # aws:SourceAccount: EventBridge names none to KMS. Which rule may send at all, the queue's policy says.
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
