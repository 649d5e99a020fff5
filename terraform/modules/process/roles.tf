# The policies are generated from the catalogue and the cards by switchyard/infra/iam.py, and tested there.

data "aws_caller_identity" "current" {}

data "aws_iam_policy_document" "ecs_assumes" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

resource "aws_iam_role" "task" {
  name               = "switchyard-${var.process.name}"
  path               = "/switchyard/tasks/"
  assume_role_policy = data.aws_iam_policy_document.ecs_assumes.json
}

resource "aws_iam_role_policy" "task" {
  name   = "generated"
  role   = aws_iam_role.task.id
  policy = templatefile("${var.shared.generated}/iam/${var.node}.task.json", var.shared.facts)
}

resource "aws_iam_role" "execution" {
  name               = "switchyard-${var.process.name}-start"
  path               = "/switchyard/execution/"
  assume_role_policy = data.aws_iam_policy_document.ecs_assumes.json
}

resource "aws_iam_role_policy" "execution" {
  name   = "generated"
  role   = aws_iam_role.execution.id
  policy = templatefile("${var.shared.generated}/iam/${var.node}.execution.json", var.shared.facts)
}
