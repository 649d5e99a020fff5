variable "repository" {
  description = "owner/name at GitHub."
  type        = string
}

variable "environment" {
  description = "The protected environment whose jobs may push."
  type        = string
}

variable "images" {
  description = "A repository for each."
  type        = set(string)
}

variable "create_provider" {
  description = "False if the account has GitHub's provider already: there can be only one."
  type        = bool
}
