output "ingress" {
  description = "The address of API Gateway, where users and providers post."
  value       = one(module.ingress[*].url)
}

output "dns_records" {
  value = one(module.email[*].records)
}

output "web" {
  description = "The load balancers' names: the targets of CNAME records for the addresses of console and API."
  value       = { for name, service in module.web : name => service.address }
}

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
