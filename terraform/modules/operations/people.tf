# What people attach to their role of the identity centre, per role of the deployment: starting its task and reading what
# it prints. No login to a database comes from outside, and no machine waits for people.

data "aws_iam_policy_document" "run" {
  for_each = local.people

  statement {
    sid       = "RunAs"
    actions   = ["ecs:RunTask"]
    resources = ["arn:${data.aws_partition.current.partition}:ecs:${local.here}:task-definition/switchyard-${each.key}:*"]
    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [var.cluster.arn]
    }
  }
  # An override of the task's role is refused: no other role may be passed.
  statement {
    sid       = "PassItsRoles"
    actions   = ["iam:PassRole"]
    resources = [aws_iam_role.task[each.key].arn, aws_iam_role.execution.arn]
    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ecs-tasks.amazonaws.com"]
    }
  }
  statement {
    sid       = "FollowIt"
    actions   = ["ecs:DescribeTasks", "ecs:StopTask"]
    resources = ["arn:${data.aws_partition.current.partition}:ecs:${local.here}:task/${var.cluster.name}/*"]
    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [var.cluster.arn]
    }
  }
  statement {
    sid       = "ReadWhatItPrints"
    actions   = ["logs:GetLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this.arn}:log-stream:${each.key}/cli/*"]
  }
}

resource "aws_iam_policy" "run" {
  for_each    = local.people
  name        = "switchyard-run-as-${each.key}"
  path        = "/switchyard/"
  description = each.value.purpose
  policy      = data.aws_iam_policy_document.run[each.key].json
}

# The switches of an emergency that need no database: docs/operate/runbook.md.
data "aws_iam_policy_document" "emergency" {
  statement {
    sid       = "StopSending"
    actions   = ["ses:PutConfigurationSetSendingOptions"]
    resources = ["arn:${data.aws_partition.current.partition}:ses:${local.here}:configuration-set/${var.facts.configuration_set}"]
  }
  statement {
    sid       = "FreezeServices"
    actions   = ["application-autoscaling:RegisterScalableTarget"]
    resources = ["arn:${data.aws_partition.current.partition}:application-autoscaling:${local.here}:scalable-target/*"]
    condition {
      test     = "StringEquals"
      variable = "application-autoscaling:service-namespace"
      values   = ["ecs"]
    }
    condition {
      test     = "StringEquals"
      variable = "application-autoscaling:scalable-dimension"
      values   = ["ecs:service:DesiredCount"]
    }
  }
  statement {
    sid       = "CountTasks"
    actions   = ["ecs:DescribeServices"]
    resources = ["arn:${data.aws_partition.current.partition}:ecs:${local.here}:service/${var.cluster.name}/*"]
  }
  statement {
    sid       = "StopPublishing"
    actions   = ["iam:AttachRolePolicy", "iam:DetachRolePolicy"]
    resources = ["arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:role/switchyard/tasks/*"]
    condition {
      test     = "ArnEquals"
      variable = "iam:PolicyARN"
      values   = [var.stop_publishing_arn]
    }
  }
  statement {
    sid = "Look"
    actions = [
      "application-autoscaling:DescribeScalableTargets", "cloudwatch:DescribeAlarms", "cloudwatch:GetDashboard", "cloudwatch:GetMetricData",
      "cloudwatch:ListMetrics", "logs:DescribeLogGroups",
    ]
    resources = ["*"] # the actions know no resources, or list them
  }
  statement {
    sid       = "ReadLogs"
    actions   = ["logs:FilterLogEvents", "logs:GetLogEvents", "logs:StartQuery", "logs:GetQueryResults"]
    resources = ["arn:${data.aws_partition.current.partition}:logs:${local.here}:log-group:/switchyard/*"]
  }
  statement {
    sid       = "CountMessages"
    actions   = ["sqs:GetQueueAttributes", "sqs:GetQueueUrl"]
    resources = ["arn:${data.aws_partition.current.partition}:sqs:${local.here}:switchyard-*"]
  }
}

resource "aws_iam_policy" "emergency" {
  name        = "switchyard-on-call"
  path        = "/switchyard/"
  description = "Stops sending, services and publishing, and reads logs and queues"
  policy      = data.aws_iam_policy_document.emergency.json
}
