# One PostgreSQL instance, with IAM logins only. Used twice: work and audit are separate instances.

data "aws_iam_policy_document" "monitoring_assumes" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["monitoring.rds.amazonaws.com"]
    }
  }
}

data "aws_partition" "current" {}

resource "aws_iam_role" "monitoring" {
  name               = "switchyard-${var.name}-db-monitoring"
  path               = "/switchyard/"
  assume_role_policy = data.aws_iam_policy_document.monitoring_assumes.json
}

resource "aws_iam_role_policy_attachment" "monitoring" {
  role       = aws_iam_role.monitoring.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"
}

resource "aws_kms_key" "this" {
  description             = "Switchyard's ${var.name} database"
  enable_key_rotation     = true
  deletion_window_in_days = 30
}

resource "aws_db_subnet_group" "this" {
  name       = "switchyard-${var.name}"
  subnet_ids = var.subnet_ids
}

# Each consumer's module adds a rule for itself; there are no other rules.
resource "aws_security_group" "this" {
  name        = "switchyard-${var.name}-db"
  description = "Access to the ${var.name} database"
  vpc_id      = var.vpc_id
}

resource "aws_db_parameter_group" "this" {
  name   = "switchyard-${var.name}"
  family = "postgres${split(".", var.engine_version)[0]}"

  dynamic "parameter" {
    for_each = {
      "rds.force_ssl"                       = "1"
      "log_connections"                     = "1"
      "log_disconnections"                  = "1"
      "log_min_duration_statement"          = "1000"
      "log_parameter_max_length"            = "0" # a statement's parameters may be personal
      "log_statement"                       = "ddl"
      "pgaudit.log"                         = "ddl,role" # `switchyard migrate` sets it to all for the owner
      "pgaudit.log_parameter"               = "0"
      "idle_in_transaction_session_timeout" = "60000"
    }
    content {
      name  = parameter.key
      value = parameter.value
    }
  }

  parameter {
    name         = "shared_preload_libraries"
    value        = "pg_stat_statements,pgaudit"
    apply_method = "pending-reboot"
  }

  parameter {
    name         = "max_connections"
    value        = var.max_connections
    apply_method = "pending-reboot"
  }
}

# Created first, because RDS would create it without a key and without a retention.
resource "aws_cloudwatch_log_group" "exports" {
  for_each          = toset(["postgresql", "upgrade"])
  name              = "/aws/rds/instance/switchyard-${var.name}/${each.key}"
  retention_in_days = var.log_days
  kms_key_id        = var.logs_key_arn
}

resource "aws_db_instance" "this" {
  identifier     = "switchyard-${var.name}"
  engine         = "postgres"
  engine_version = var.engine_version
  instance_class = var.instance_class
  db_name        = var.name

  # RDS creates and stores the owner's first password; after `grant rds_iam` password logins end.
  username                            = "switchyard_owner"
  manage_master_user_password         = true
  master_user_secret_kms_key_id       = aws_kms_key.this.arn
  iam_database_authentication_enabled = true

  allocated_storage     = var.storage_gb
  max_allocated_storage = var.storage_gb * 10
  storage_type          = "gp3"
  storage_encrypted     = true
  kms_key_id            = aws_kms_key.this.arn

  multi_az               = var.multi_az
  publicly_accessible    = false
  db_subnet_group_name   = aws_db_subnet_group.this.name
  vpc_security_group_ids = [aws_security_group.this.id]
  parameter_group_name   = aws_db_parameter_group.this.name
  ca_cert_identifier     = "rds-ca-rsa2048-g1"

  # The range of point-in-time recovery.
  backup_retention_period   = var.backup_days
  backup_window             = "02:00-03:00"
  maintenance_window        = "sun:03:30-sun:04:30"
  copy_tags_to_snapshot     = true
  delete_automated_backups  = false
  deletion_protection       = var.deletion_protection
  skip_final_snapshot       = false
  final_snapshot_identifier = "switchyard-${var.name}-${aws_kms_key.this.key_id}" # another one for each instance

  auto_minor_version_upgrade      = true
  enabled_cloudwatch_logs_exports = keys(aws_cloudwatch_log_group.exports)
  performance_insights_enabled    = true
  performance_insights_kms_key_id = aws_kms_key.this.arn
  monitoring_interval             = 60
  monitoring_role_arn             = aws_iam_role.monitoring.arn

  lifecycle {
    precondition {
      condition     = var.wanted_connections + 10 <= var.max_connections
      error_message = "The largest number of tasks needs ${var.wanted_connections} connections, and ten are reserved for people: raise max_connections and the instance class, or lower the number of tasks."
    }
  }
}

locals {
  # By alarm: what to compare, and why it matters.
  alarms = {
    connections     = { metric = "DatabaseConnections", statistic = "Maximum", above = floor(var.max_connections * 0.8), text = "has used 80 % of its connections" }
    cpu             = { metric = "CPUUtilization", statistic = "Average", above = 80, text = "has used more than 80 % of its processors" }
    transaction-age = { metric = "MaximumUsedTransactionIDs", statistic = "Maximum", above = 500000000, text = "is not vacuumed: transactions are half a billion old, and at two billion it stops" }
    storage         = { metric = "FreeStorageSpace", statistic = "Minimum", below = 5368709120, text = "has less than 5 GB left" }
    memory          = { metric = "FreeableMemory", statistic = "Minimum", below = 134217728, text = "has less than 128 MB of memory left" }
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each            = local.alarms
  alarm_name          = "switchyard-${var.name}-db-${each.key}"
  alarm_description   = "For 5 minutes the ${var.name} database ${each.value.text}."
  namespace           = "AWS/RDS"
  metric_name         = each.value.metric
  dimensions          = { DBInstanceIdentifier = aws_db_instance.this.identifier }
  statistic           = each.value.statistic
  period              = 60
  evaluation_periods  = 5
  threshold           = try(each.value.above, each.value.below)
  comparison_operator = can(each.value.above) ? "GreaterThanThreshold" : "LessThanThreshold"
  alarm_actions       = [var.alerts_topic_arn]
  ok_actions          = [var.alerts_topic_arn]
}

# The owner can rewrite the log. Only `switchyard migrate` logs in as the owner; every other time is an incident.
resource "aws_cloudwatch_log_metric_filter" "owner" {
  name           = "switchyard-${var.name}-db-owner-login"
  log_group_name = aws_cloudwatch_log_group.exports["postgresql"].name
  pattern        = "\"connection authorized: user=switchyard_owner\""

  metric_transformation {
    namespace     = "Switchyard"
    name          = "OwnerLogins-${var.name}"
    value         = "1"
    default_value = "0"
  }
}

resource "aws_cloudwatch_metric_alarm" "owner" {
  alarm_name          = "switchyard-${var.name}-db-owner-login"
  alarm_description   = "Somebody logged in to the ${var.name} database as its owner."
  namespace           = "Switchyard"
  metric_name         = aws_cloudwatch_log_metric_filter.owner.metric_transformation[0].name
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alerts_topic_arn]
  ok_actions          = [var.alerts_topic_arn]
}

# Failover, low storage, maintenance: what RDS says itself.
resource "aws_db_event_subscription" "this" {
  name             = "switchyard-${var.name}"
  sns_topic        = var.alerts_topic_arn
  source_type      = "db-instance"
  source_ids       = [aws_db_instance.this.identifier]
  event_categories = ["availability", "failover", "failure", "low storage", "recovery"]
}
