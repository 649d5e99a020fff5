variable "name" {
  description = "The bus, as the catalogue names it."
  type        = string
}

variable "source_prefix" {
  description = "Sources that begin so are our own services'."
  type        = string
  default     = "switchyard."
}
