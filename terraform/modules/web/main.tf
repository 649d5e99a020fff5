# A service that people or callers of the company reach: a process behind a load balancer of its own without a public
# address. TLS ends there; between it and the task, inside the VPC, a request is plain HTTP.

module "process" {
  source  = "../process"
  shared  = var.shared
  task    = var.task
  node    = var.node
  process = var.server
  load_balancer = {
    target_group_arn  = aws_lb_listener.this.default_action[0].target_group_arn
    security_group_id = aws_security_group.this.id
  }
}

resource "aws_security_group" "this" {
  name        = "switchyard-${var.server.name}-web"
  description = "The load balancer of ${var.server.name}"
  vpc_id      = var.task.network.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "callers" {
  for_each          = var.callers
  security_group_id = aws_security_group.this.id
  description       = "From the company's networks"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "tasks" {
  security_group_id            = aws_security_group.this.id
  description                  = "The tasks"
  referenced_security_group_id = module.process.security_group_id
  ip_protocol                  = "tcp"
  from_port                    = var.server.port
  to_port                      = var.server.port
}

resource "aws_lb" "this" {
  name                       = "switchyard-${var.server.name}"
  load_balancer_type         = "application"
  internal                   = true
  subnets                    = var.load_balancer_subnet_ids
  security_groups            = [aws_security_group.this.id]
  drop_invalid_header_fields = true
  enable_deletion_protection = var.deletion_protection
}

resource "aws_lb_target_group" "this" {
  name                 = "switchyard-${var.server.name}"
  vpc_id               = var.task.network.vpc_id
  target_type          = "ip"
  protocol             = "HTTP"
  port                 = var.server.port
  deregistration_delay = 30

  # An answer that needs no database: an outage of one must not have ECS replace the tasks that report it.
  health_check {
    path                = var.health_check.path
    matcher             = var.health_check.status
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

resource "aws_lb_listener" "this" {
  load_balancer_arn = aws_lb.this.arn
  protocol          = "HTTPS"
  port              = 443
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.certificate_arn

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this.arn
  }
}

# docs/operate/runbook.md has a section for each alarm.
resource "aws_cloudwatch_metric_alarm" "errors" {
  alarm_name          = "switchyard-${var.server.name}-errors"
  alarm_description   = "For 10 minutes ${var.server.name} has answered with status 5xx more than 5 times a minute."
  namespace           = "AWS/ApplicationELB"
  metric_name         = "HTTPCode_Target_5XX_Count"
  dimensions          = { LoadBalancer = aws_lb.this.arn_suffix }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 10
  threshold           = 5
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.shared.alerts_topic_arn]
  ok_actions          = [var.shared.alerts_topic_arn]
}
