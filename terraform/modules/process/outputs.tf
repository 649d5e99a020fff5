output "task_role_arn" {
  value = aws_iam_role.task.arn
}

output "security_group_id" {
  value = aws_security_group.this.id
}

output "log_group" {
  value = aws_cloudwatch_log_group.this.name
}

output "service" {
  value = aws_ecs_service.this.name
}

output "scaling_target" {
  value = aws_appautoscaling_target.this
}

output "bounds" {
  description = "The fewest and the most tasks that autoscaling may run."
  value       = "${aws_appautoscaling_target.this.min_capacity}..${aws_appautoscaling_target.this.max_capacity}${aws_appautoscaling_target.this.suspended_state[0].dynamic_scaling_out_suspended ? " suspended" : ""}"
}
