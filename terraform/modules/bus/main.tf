# The event bus, and the key that encrypts every queue behind it.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

resource "aws_cloudwatch_event_bus" "this" {
  name = var.name
}

data "aws_iam_policy_document" "bus" {
  # Our roles need no resource policy; other roles in the account must not publish under our sources.
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
