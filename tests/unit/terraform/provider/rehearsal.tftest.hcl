# The root module, planned and applied by terraform with mock values. The assertion needs the evaluated configuration;
# apart from it the test is that plan and apply succeed.

mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = { names = ["us-east-1a", "us-east-1b", "us-east-1c", "us-east-1d"] }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { region = "us-east-1" }
  }
  mock_data "aws_vpc_endpoint_service" {
    defaults = { availability_zones = ["us-east-1a", "us-east-1b"] }
  }
  mock_resource "aws_db_instance" {
    defaults = { master_user_secret = [{ kms_key_id = "key", secret_arn = "arn:aws:secretsmanager:us-east-1:111122223333:secret:rds", secret_status = "active" }] }
  }
  mock_resource "aws_networkfirewall_firewall" {
    defaults = {
      firewall_status = [{
        sync_states = [for zone in ["us-east-1a", "us-east-1b", "us-east-1c", "us-east-1d"] : {
          availability_zone = zone
          attachment        = [{ endpoint_id = "vpce-${zone}", subnet_id = "subnet-${zone}" }]
        }]
        transit_gateway_attachment_sync_states = []
      }]
    }
  }
}

run "plan" {
  command = plan
}

run "apply" {
  command = apply

  assert {
    condition     = length(module.agent) == length(jsondecode(file("generated/topology.json")).consumers)
    error_message = "There must be an agent for each consumer of the catalogue."
  }
}

run "frozen" {
  command = apply
  variables {
    frozen = ["all"]
  }

  assert {
    condition     = alltrue([for node, agent in module.agent : agent.bounds == (node == "audit" ? module.agent["audit"].bounds : "0..0 suspended")])
    error_message = "A frozen process must have room for no task, and autoscaling suspended."
  }
  assert {
    condition     = module.agent["audit"].bounds == "${var.sizes["audit"].fewest}..${var.sizes["audit"].most}"
    error_message = "Audit must go on recording."
  }
  assert {
    condition     = alltrue([for service in concat(values(module.web), values(module.identity)) : service.bounds == "0..0 suspended"])
    error_message = "A frozen server must have room for no task."
  }
  assert {
    condition     = alltrue([for email in module.email : !email.sending_enabled])
    error_message = "SES must not send while the email sender is frozen."
  }
}
