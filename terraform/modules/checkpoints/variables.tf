variable "bucket" {
  type = string
}

variable "lock_mode" {
  description = "COMPLIANCE: no user can delete a checkpoint before its retention ends, including the account's owner. GOVERNANCE is for trials."
  type        = string

  validation {
    condition     = contains(["COMPLIANCE", "GOVERNANCE"], var.lock_mode)
    error_message = "Object Lock has the modes COMPLIANCE and GOVERNANCE."
  }
}

variable "keep_days" {
  description = "The retention in days: at least that of the log itself."
  type        = number
}
