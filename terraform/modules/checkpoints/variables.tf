variable "bucket" {
  type = string
}

variable "lock_mode" {
  description = "COMPLIANCE: nobody removes a checkpoint before its time, the account's owner included. GOVERNANCE for trials."
  type        = string

  validation {
    condition     = contains(["COMPLIANCE", "GOVERNANCE"], var.lock_mode)
    error_message = "Object Lock knows COMPLIANCE and GOVERNANCE."
  }
}

variable "keep_days" {
  description = "At least as long as the log itself is kept."
  type        = number
}
