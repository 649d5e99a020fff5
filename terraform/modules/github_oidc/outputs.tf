output "push_role_arn" {
  value = aws_iam_role.push.arn
}

output "repositories" {
  value = { for name, repository in aws_ecr_repository.this : name => repository.repository_url }
}
