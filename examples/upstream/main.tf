# An upstream in an account of its own: a role that may put one type of event under one source on Switchyard's bus, and a
# schedule that asks a question every morning. Apply it there; README.md says what Switchyard's side needs.

terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.69"
    }
  }
}

variable "bus_arn" {
  description = "Switchyard's bus: arn:aws:events:REGION:ACCOUNT:event-bus/switchyard."
  type        = string
}

variable "source_name" {
  type    = string
  default = "upstream.reports"
}

variable "tenant" {
  type    = string
  default = "northfork"
}

data "aws_caller_identity" "current" {}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

# Its ARN goes into `upstreams` of Switchyard's tfvars.
resource "aws_iam_role" "upstream" {
  name               = "switchyard-upstream-reports"
  assume_role_policy = data.aws_iam_policy_document.assume.json
}

data "aws_iam_policy_document" "put" {
  statement {
    sid       = "SubmitCases"
    actions   = ["events:PutEvents"]
    resources = [var.bus_arn]
    condition {
      test     = "ForAllValues:StringEquals"
      variable = "events:source"
      values   = [var.source_name]
    }
    condition {
      test     = "ForAllValues:StringEquals"
      variable = "events:detail-type"
      values   = ["CaseSubmitted"]
    }
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

resource "aws_iam_role_policy" "put" {
  role   = aws_iam_role.upstream.id
  policy = data.aws_iam_policy_document.put.json
}

resource "aws_scheduler_schedule" "morning" {
  name                         = "switchyard-morning-report"
  schedule_expression          = "cron(0 7 * * ? *)"
  schedule_expression_timezone = "America/Chicago"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = var.bus_arn
    role_arn = aws_iam_role.upstream.arn

    eventbridge_parameters {
      source      = var.source_name
      detail_type = "CaseSubmitted"
    }

    # The time for which it was scheduled is the key: a retry is the same case, and the next morning another one.
    input = jsonencode({
      tenant          = var.tenant
      idempotency_key = "morning-<aws.scheduler.scheduled-time>"
      session_id      = "morning-<aws.scheduler.scheduled-time>"
      user_id         = "reports"
      question        = "Which ten wells produced the most oil yesterday?"
    })

    retry_policy {
      maximum_event_age_in_seconds = 3600
      maximum_retry_attempts       = 20
    }
  }

  depends_on = [aws_iam_role_policy.put]
}
