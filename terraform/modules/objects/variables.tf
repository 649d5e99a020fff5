variable "bucket" {
  type = string
}

variable "quarantine_days" {
  description = "The days for which unreadable messages are kept."
  type        = number
}
