variable "repository" {
  description = "The GitHub repository, owner/name."
  type        = string
}

variable "environment" {
  description = "The protected GitHub environment whose jobs may push."
  type        = string
}

variable "images" {
  description = "The names of the images; each gets a repository."
  type        = set(string)
}

variable "create_provider" {
  description = "False if the account already has GitHub's identity provider: there can be only one."
  type        = bool
}

variable "keep_images" {
  description = "How many images each repository keeps; signatures and SBOMs count, too."
  type        = number
}
