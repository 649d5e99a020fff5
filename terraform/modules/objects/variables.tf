variable "bucket" {
  type = string
}

variable "quarantine_days" {
  description = "How long bytes that could not be read are kept."
  type        = number
}
