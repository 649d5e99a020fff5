# Secrets without values. An operator sets each value (docs/operate/deploy.md), so that terraform's state has none.

resource "aws_kms_key" "this" {
  description             = "Switchyard's secrets"
  enable_key_rotation     = true
  deletion_window_in_days = 30
}

resource "aws_secretsmanager_secret" "this" {
  for_each                = var.secrets
  name                    = "switchyard/${each.key}"
  description             = each.value
  kms_key_id              = aws_kms_key.this.arn
  recovery_window_in_days = 30
}

# Wraps the keys of users' credentials. Without it no stored credential can be read: users log in again.
resource "aws_kms_key" "credentials" {
  description             = "Wraps the keys of users' credentials"
  enable_key_rotation     = true
  deletion_window_in_days = 30
}
