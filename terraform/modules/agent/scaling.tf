# Backlog per task by metric math: without a custom metric, no process has to publish one. Where nothing counts the
# running tasks, they count as one: right where `most` is one or two.
resource "aws_appautoscaling_policy" "backlog" {
  name               = "backlog-per-task"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = module.process.scaling_target.service_namespace
  scalable_dimension = module.process.scaling_target.scalable_dimension
  resource_id        = module.process.scaling_target.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.task.size.backlog_per_task
    scale_out_cooldown = 60
    scale_in_cooldown  = 300

    customized_metric_specification {
      metrics {
        id          = "visible"
        return_data = false
        metric_stat {
          stat = "Sum"
          metric {
            namespace   = "AWS/SQS"
            metric_name = "ApproximateNumberOfMessagesVisible"
            dimensions {
              name  = "QueueName"
              value = aws_sqs_queue.this[var.consumer.queue].name
            }
          }
        }
      }
      dynamic "metrics" {
        for_each = var.shared.cluster.insights ? ["running"] : []
        content {
          id          = metrics.value
          return_data = false
          metric_stat {
            stat = "Average"
            metric {
              namespace   = "ECS/ContainerInsights"
              metric_name = "RunningTaskCount"
              dimensions {
                name  = "ClusterName"
                value = var.shared.cluster.name
              }
              dimensions {
                name  = "ServiceName"
                value = module.process.service
              }
            }
          }
        }
      }
      metrics {
        id          = "backlog"
        label       = "Messages waiting per running task"
        expression  = var.shared.cluster.insights ? "visible / IF(running > 0, running, 1)" : "visible / 1"
        return_data = true
      }
    }
  }
}
