variable "name" {
  description = "work or audit."
  type        = string

  validation {
    condition     = contains(["work", "audit"], var.name)
    error_message = "There are two databases: work and audit."
  }
}

variable "vpc_id" {
  type = string
}

variable "subnet_ids" {
  type = list(string)
}

variable "alerts_topic_arn" {
  type = string
}

variable "engine_version" {
  type = string
}

variable "instance_class" {
  type = string
}

variable "storage_gb" {
  type = number
}

variable "multi_az" {
  type = bool
}

variable "backup_days" {
  description = "The range of point-in-time recovery in days: 1 to 35."
  type        = number

  validation {
    condition     = var.backup_days >= 1 && var.backup_days <= 35
    error_message = "RDS keeps automated backups for 1 to 35 days; 0 would disable recovery."
  }
}

variable "deletion_protection" {
  type = bool
}

variable "max_connections" {
  type = number
}

variable "wanted_connections" {
  description = "The connections that all tasks together may open."
  type        = number
}

variable "logs_key_arn" {
  type = string
}

variable "log_days" {
  type = number
}
