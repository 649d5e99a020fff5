# API Gateway -> WAF -> a function that checks the token, signs the principal and submits the question. Only it may
# publish as `upstream.ingress`.

locals {
  # The function's routes, each with the headers that it needs.
  routes = {
    for route in var.routes : route => route == "cases" ? ["Authorization", "X-Session-Id"] : ["Authorization"]
  }
}

data "aws_region" "current" {}
data "aws_partition" "current" {}
data "aws_caller_identity" "current" {}

resource "aws_security_group" "this" {
  name        = "switchyard-ingress"
  description = "The function behind the API"
  vpc_id      = var.network.vpc_id
}

resource "aws_vpc_security_group_egress_rule" "endpoints" {
  security_group_id            = aws_security_group.this.id
  description                  = "AWS, through its endpoints"
  referenced_security_group_id = var.network.endpoints_group_id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

resource "aws_vpc_security_group_egress_rule" "identity" {
  security_group_id = aws_security_group.this.id
  description       = "The identity provider's keys; the firewall limits the host"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

data "aws_iam_policy_document" "lambda_assumes" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "this" {
  name               = "switchyard-ingress"
  path               = "/switchyard/ingress/"
  assume_role_policy = data.aws_iam_policy_document.lambda_assumes.json
}

resource "aws_iam_role_policy" "generated" {
  name   = "generated"
  role   = aws_iam_role.this.id
  policy = templatefile("${var.generated}/iam/ingress.task.json", var.facts)
}

resource "aws_iam_role_policy_attachment" "vpc" {
  role       = aws_iam_role.this.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole"
}

resource "aws_cloudwatch_log_group" "function" {
  name              = "/switchyard/ingress"
  retention_in_days = var.log_days
  kms_key_id        = var.logs_key_arn
}

resource "aws_lambda_function" "this" {
  function_name                  = "switchyard-ingress"
  role                           = aws_iam_role.this.arn
  runtime                        = "python3.13"
  architectures                  = [lower(var.architecture)]
  handler                        = "switchyard.ingress.handler.handle"
  filename                       = var.package
  source_code_hash               = filebase64sha256(var.package)
  timeout                        = 15
  memory_size                    = 512
  reserved_concurrent_executions = var.concurrency

  environment {
    variables = merge({
      BUS                      = var.bus
      SOURCE                   = var.event_source
      ISSUER                   = var.identity.issuer
      AUDIENCE                 = var.identity.audience
      JWKS_URL                 = var.identity.jwks_url
      TENANT_CLAIM             = var.identity.tenant_claim
      ROLE_CLAIM               = var.identity.role_claim
      PRINCIPAL_KEY_SECRET_ARN = var.facts.secret_principal_key
      REVIEWER_ROLES           = jsonencode(var.reviewer_roles)

      USER_REQUESTS_PER_MINUTE   = var.user_requests
      TENANT_REQUESTS_PER_MINUTE = var.tenant_requests
      }, var.grant_policy == null ? {} : {
      IDENTITY_URL              = var.facts.identity_url
      IDENTITY_FILES_SECRET_ARN = var.facts.secret_ingress_identity_files
      GRANT_POLICY              = jsonencode(merge(var.grant_policy, { role_scope = var.facts.role_scope }))
    })
  }

  vpc_config {
    subnet_ids         = var.network.subnet_ids
    security_group_ids = [aws_security_group.this.id]
  }

  logging_config {
    log_format = "JSON"
    log_group  = aws_cloudwatch_log_group.function.name
  }

  # Lambda creates and deletes the function's network interfaces with this role, so the policy must outlive it.
  depends_on = [aws_iam_role_policy_attachment.vpc, aws_iam_role_policy.generated]
}

resource "aws_lambda_permission" "this" {
  statement_id  = "ApiCalls"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.this.function_name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_api_gateway_rest_api.this.execution_arn}/${var.stage}/POST/v1/*"
}

resource "aws_api_gateway_rest_api" "this" {
  name                 = "switchyard"
  security_policy      = "SecurityPolicy_TLS13_1_2_2021_06"
  endpoint_access_mode = "STRICT"
  endpoint_configuration {
    types = ["REGIONAL"]
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_api_gateway_resource" "version" {
  rest_api_id = aws_api_gateway_rest_api.this.id
  parent_id   = aws_api_gateway_rest_api.this.root_resource_id
  path_part   = "v1"
}

resource "aws_api_gateway_resource" "route" {
  for_each    = local.routes
  rest_api_id = aws_api_gateway_rest_api.this.id
  parent_id   = aws_api_gateway_resource.version.id
  path_part   = each.key
}

# The function checks the token itself, because tenant, user and roles come from it.
resource "aws_api_gateway_method" "post" {
  for_each             = local.routes
  rest_api_id          = aws_api_gateway_rest_api.this.id
  resource_id          = aws_api_gateway_resource.route[each.key].id
  http_method          = "POST"
  authorization        = "NONE"
  request_validator_id = aws_api_gateway_request_validator.headers.id
  request_parameters   = { for header in each.value : "method.request.header.${header}" => true }
}

resource "aws_api_gateway_request_validator" "headers" {
  name                        = "headers"
  rest_api_id                 = aws_api_gateway_rest_api.this.id
  validate_request_parameters = true
}

resource "aws_api_gateway_integration" "function" {
  for_each                = local.routes
  rest_api_id             = aws_api_gateway_rest_api.this.id
  resource_id             = aws_api_gateway_resource.route[each.key].id
  http_method             = aws_api_gateway_method.post[each.key].http_method
  type                    = "AWS_PROXY"
  integration_http_method = "POST"
  uri                     = aws_lambda_function.this.invoke_arn
}

resource "aws_api_gateway_deployment" "this" {
  rest_api_id = aws_api_gateway_rest_api.this.id
  triggers    = { method = sha256(jsonencode([aws_api_gateway_method.post, aws_api_gateway_integration.function])) }

  lifecycle {
    create_before_destroy = true
  }
}

# A setting per account and region: without it API Gateway rejects the stage below, because the stage writes logs.
data "aws_iam_policy_document" "api_assumes" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["apigateway.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "api_logs" {
  name               = "switchyard-api-logs"
  path               = "/switchyard/"
  assume_role_policy = data.aws_iam_policy_document.api_assumes.json
}

resource "aws_iam_role_policy_attachment" "api_logs" {
  role       = aws_iam_role.api_logs.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
}

resource "aws_api_gateway_account" "this" {
  cloudwatch_role_arn = aws_iam_role.api_logs.arn
  depends_on          = [aws_iam_role_policy_attachment.api_logs]
}

resource "aws_cloudwatch_log_group" "access" {
  name              = "/switchyard/api"
  retention_in_days = var.log_days
  kms_key_id        = var.logs_key_arn
}

# Created first, because API Gateway would create it without a key and without a retention.
resource "aws_cloudwatch_log_group" "execution" {
  name              = "API-Gateway-Execution-Logs_${aws_api_gateway_rest_api.this.id}/${var.stage}"
  retention_in_days = var.log_days
  kms_key_id        = var.logs_key_arn
}

resource "aws_api_gateway_stage" "this" {
  rest_api_id          = aws_api_gateway_rest_api.this.id
  deployment_id        = aws_api_gateway_deployment.this.id
  stage_name           = var.stage
  xray_tracing_enabled = true
  depends_on           = [aws_api_gateway_account.this, aws_cloudwatch_log_group.execution]

  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.access.arn
    format          = jsonencode({ request = "$context.requestId", status = "$context.status", ms = "$context.responseLatency", waf = "$context.wafResponseCode" })
  }
}

resource "aws_api_gateway_method_settings" "this" {
  rest_api_id = aws_api_gateway_rest_api.this.id
  stage_name  = aws_api_gateway_stage.this.stage_name
  method_path = "*/*"

  settings {
    metrics_enabled        = true
    logging_level          = "ERROR"
    data_trace_enabled     = false # a body is a question
    throttling_rate_limit  = var.rate
    throttling_burst_limit = var.rate * 2
  }
}

# The stage's own throttle answers as the function does (RFC 9457).
resource "aws_api_gateway_gateway_response" "throttled" {
  rest_api_id   = aws_api_gateway_rest_api.this.id
  response_type = "THROTTLED"
  status_code   = "429"
  response_parameters = {
    "gatewayresponse.header.Content-Type" = "'application/problem+json'"
    "gatewayresponse.header.Retry-After"  = "'1'"
  }
  response_templates = {
    "application/json" = jsonencode({ title = "Too many requests", status = 429, code = "too_many_requests", detail = "the API is busy", remedy = "send it again after Retry-After seconds" })
  }
}

resource "aws_wafv2_web_acl" "this" {
  name  = "switchyard-ingress"
  scope = "REGIONAL"

  default_action {
    allow {}
  }

  # Two bounds on one caller: this one on a token, before the function runs, and the function's own on its user.
  rule {
    name     = "caller"
    priority = 0
    action {
      block {
        custom_response {
          response_code            = 429
          custom_response_body_key = "too-many-requests"
          response_header {
            name  = "Retry-After"
            value = "60"
          }
        }
      }
    }
    statement {
      rate_based_statement {
        limit                 = var.caller_limit
        evaluation_window_sec = 60
        aggregate_key_type    = "CUSTOM_KEYS"
        custom_key {
          header {
            name = "authorization"
            text_transformation {
              priority = 0
              type     = "NONE"
            }
          }
        }
      }
    }
    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "ingress-caller"
      sampled_requests_enabled   = false
    }
  }

  custom_response_body {
    key          = "too-many-requests"
    content_type = "APPLICATION_JSON"
    content      = jsonencode({ title = "Too many requests", status = 429, code = "too_many_requests", detail = "at most ${var.caller_limit} requests a minute", remedy = "send it again after Retry-After seconds" })
  }

  rule {
    name     = "flood"
    priority = 1
    action {
      block {}
    }
    statement {
      rate_based_statement {
        limit              = 2000
        aggregate_key_type = "IP"
      }
    }
    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "ingress-flood"
      sampled_requests_enabled   = false
    }
  }

  dynamic "rule" {
    for_each = { AWSManagedRulesKnownBadInputsRuleSet = 2, AWSManagedRulesAmazonIpReputationList = 3 }
    content {
      name     = rule.key
      priority = rule.value
      override_action {
        none {}
      }
      statement {
        managed_rule_group_statement {
          vendor_name = "AWS"
          name        = rule.key
        }
      }
      visibility_config {
        cloudwatch_metrics_enabled = true
        metric_name                = rule.key
        sampled_requests_enabled   = false
      }
    }
  }

  visibility_config {
    cloudwatch_metrics_enabled = true
    metric_name                = "ingress"
    sampled_requests_enabled   = false
  }
}

resource "aws_wafv2_web_acl_association" "this" {
  resource_arn = aws_api_gateway_stage.this.arn
  web_acl_arn  = aws_wafv2_web_acl.this.arn
}

# What was blocked, without tokens; the name begins as WAF demands.
resource "aws_cloudwatch_log_group" "waf" {
  name              = "aws-waf-logs-switchyard-ingress"
  retention_in_days = var.log_days
  kms_key_id        = var.logs_key_arn
}

resource "aws_wafv2_web_acl_logging_configuration" "this" {
  resource_arn            = aws_wafv2_web_acl.this.arn
  log_destination_configs = [aws_cloudwatch_log_group.waf.arn]

  redacted_fields {
    single_header {
      name = "authorization"
    }
  }
  redacted_fields {
    single_header {
      name = "x-refresh-token"
    }
  }

  logging_filter {
    default_behavior = "DROP"
    filter {
      behavior    = "KEEP"
      requirement = "MEETS_ANY"
      condition {
        action_condition {
          action = "BLOCK"
        }
      }
    }
  }
}
