output "api" {
  value = module.ingress.url
}

output "dns_records" {
  value = module.email.records
}

output "repositories" {
  value = module.github_oidc.repositories
}

output "migrate" {
  value = { task_definition = module.migrate.task_definition, security_group = module.migrate.security_group_id, subnets = module.network.subnet_ids["private"], cluster = module.telemetry.cluster.name }
}
