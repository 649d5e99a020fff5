variable "bucket" {
  type = string
}

variable "keep_days" {
  type = number
}

variable "bus_arn" {
  type = string
}

variable "buckets" {
  description = "The buckets whose objects are worth a record."
  type        = list(string)
}
