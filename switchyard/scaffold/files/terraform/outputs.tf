output "repositories" {
  value = module.github_oidc.repositories
}

output "operations" {
  description = "SWITCHYARD_OPERATIONS of people's shells, as JSON."
  value       = module.operations.place
}

output "public_keys" {
  value = module.checkpoints.public_keys
}

output "push_role" {
  description = "AWS_PUSH_ROLE of the GitHub environment."
  value       = module.github_oidc.push_role_arn
}

output "web" {
  description = "The load balancer's name: the target of a CNAME record for the console's address."
  value       = { for name, service in module.web : name => service.address }
}
