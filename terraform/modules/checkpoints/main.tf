# The bucket of the audit log's checkpoints, which the owner of its database cannot change, and the key that signs them.

resource "aws_kms_key" "this" {
  description              = "Signs the checkpoints of Switchyard's audit log"
  customer_master_key_spec = "ECC_NIST_P256"
  key_usage                = "SIGN_VERIFY"
  deletion_window_in_days  = 30

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_kms_alias" "this" {
  name          = "alias/switchyard-checkpoints"
  target_key_id = aws_kms_key.this.key_id
}

# Wraps the keys with which the audit process authenticates each row. A role that may decrypt with it can make such
# rows: grant it to none that may write to the audit database, but audit's own.
resource "aws_kms_key" "rows" {
  description             = "Wraps the keys that authenticate the rows of Switchyard's audit log"
  enable_key_rotation     = true
  deletion_window_in_days = 30

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_kms_alias" "rows" {
  name          = "alias/switchyard-rows"
  target_key_id = aws_kms_key.rows.key_id
}

# Signs the receipts of retention and erasure; not the checkpoints' key, so that no job can sign a checkpoint.
resource "aws_kms_key" "receipts" {
  description              = "Signs the receipts of retention and erasure"
  customer_master_key_spec = "ECC_NIST_P256"
  key_usage                = "SIGN_VERIFY"
  deletion_window_in_days  = 30

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_kms_alias" "receipts" {
  name          = "alias/switchyard-receipts"
  target_key_id = aws_kms_key.receipts.key_id
}

data "aws_kms_public_key" "this" {
  for_each = { checkpoints = aws_kms_key.this.arn, receipts = aws_kms_key.receipts.arn }
  key_id   = each.value
}

resource "aws_s3_bucket" "this" {
  bucket              = var.bucket
  object_lock_enabled = true

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id
  versioning_configuration {
    status = "Enabled"
  }
}

# The retention of a checkpoint without one of its own; the audit service sets one on each.
resource "aws_s3_bucket_object_lock_configuration" "this" {
  bucket     = aws_s3_bucket.this.id
  depends_on = [aws_s3_bucket_versioning.this]

  rule {
    default_retention {
      mode = var.lock_mode
      days = var.keep_days
    }
  }
}

# Encrypted with S3's own key: a checkpoint holds hashes only, and must be readable after the loss of all our keys.
resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

# Each checkpoint is put with a lock of its own, which overrides the default. These limits bind it to this environment's
# values: a lock in COMPLIANCE mode cannot be undone by anybody.
data "aws_iam_policy_document" "bucket" {
  statement {
    sid       = "LockOfThisEnvironmentOnly"
    effect    = "Deny"
    actions   = ["s3:PutObject", "s3:PutObjectRetention"]
    resources = ["${aws_s3_bucket.this.arn}/*"]
    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
    condition {
      test     = "StringNotEquals"
      variable = "s3:object-lock-mode"
      values   = [var.lock_mode]
    }
  }
  statement {
    sid       = "NoLongerThanKept"
    effect    = "Deny"
    actions   = ["s3:PutObject", "s3:PutObjectRetention"]
    resources = ["${aws_s3_bucket.this.arn}/*"]
    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
    condition {
      test     = "NumericGreaterThan"
      variable = "s3:object-lock-remaining-retention-days"
      values   = [var.keep_days + 1]
    }
  }
  statement {
    sid       = "NothingInTheClear"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]
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

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id
  policy = data.aws_iam_policy_document.bucket.json
}
