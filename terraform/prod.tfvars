# Values of prod. Placeholders to replace: account, buckets, domain, certificate, identity provider, image digests.

environment            = "prod"
account                = "444455556666"
region                 = "us-east-1"
code_version           = "unreleased"
repository             = "example/switchyard"
create_github_provider = true

cidr               = "10.60.0.0/16"
zones              = 3
firewall           = true
endpoint_zones     = 3
spot               = false
container_insights = true
hosts = {
  openai      = ["api.openai.com"]
  snowflake   = ["acme-prod.snowflakecomputing.com"] # this account only: another one is a way out
  work_orders = ["work-orders.acme.example"]
  identity    = ["login.acme.example", "exchange.acme.example"]
}

postgres_version    = "18"
db_ca_file          = "/etc/ssl/certs/rds-global-bundle.pem"
multi_az            = true
backup_days         = 35
deletion_protection = true
work_db             = { instance_class = "db.m7g.large", storage_gb = 100, max_connections = 1000 }
audit_db            = { instance_class = "db.m7g.large", storage_gb = 200, max_connections = 150 }

objects_bucket  = "acme-switchyard-prod-objects"
quarantine_days = 90
checkpoints     = { bucket = "acme-switchyard-prod-checkpoints", lock_mode = "COMPLIANCE", keep_days = 3653 }

models = {
  bedrock                   = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
  bedrock_foundation        = "anthropic.claude-sonnet-4-5-20250929-v1:0"
  bedrock_guardrail         = ""
  bedrock_guardrail_version = ""
  openai                    = "gpt-5.2"
  embedding                 = "amazon.titan-embed-text-v2:0"
}

snowflake      = { account = "acme-prod", warehouse = "SWITCHYARD", audience = "https://acme-prod.snowflakecomputing.com" }
wells_audience = "https://wells.acme-prod.example"

work_orders = { url = "https://work-orders.acme.example", audience = "https://work-orders.acme.example" }

email = {
  domain          = "harborline.example"
  certificate_arn = "arn:aws:acm:us-east-1:444455556666:certificate/00000000-0000-0000-0000-000000000000"
  optout_url      = "https://mail.harborline.example"
  sending_enabled = false # docs/operate/deploy.md says when to change it
}

ingress = {
  package     = "../dist/ingress.zip"
  rate        = 200
  concurrency = 100
  # Until when an agent may act for a user who has logged in, and for what.
  grant_policy = {
    agents    = ["text_to_sql", "well_data", "field_routing"]
    audiences = ["https://acme-prod.snowflakecomputing.com", "https://wells.acme-prod.example", "https://work-orders.acme.example"]
    scopes    = ["work_orders:read", "technicians:read"]
    hours     = 8
  }
  identity = {
    issuer       = "https://login.acme.example/"
    audience     = "switchyard-prod"
    jwks_url     = "https://login.acme.example/.well-known/jwks.json"
    tenant_claim = "tenant"
    role_claim   = "warehouse_role"
  }
}

token_exchange = {
  role_scope    = "session:role:" # Snowflake's scope for one role
  issuer        = "https://exchange.acme.example/"
  jwks_url      = "https://exchange.acme.example/.well-known/jwks.json"
  token_url     = "https://exchange.acme.example/token"
  idp_token_url = "https://login.acme.example/token"
  idp_client_id = "switchyard"
}

# Where browsers find the console, from which networks of yours, and its client at the identity provider.
console = {
  url             = "https://console.harborline.example"
  certificate_arn = "arn:aws:acm:us-east-1:444455556666:certificate/00000000-0000-0000-0000-000000000002"
  networks        = ["10.200.0.0/16"]
  client_id       = "switchyard-console"
  authorize_url   = "https://login.acme.example/authorize"
}

# Where callers find the API, and from which networks of yours.
api = {
  certificate_arn = "arn:aws:acm:us-east-1:444455556666:certificate/00000000-0000-0000-0000-000000000003"
  networks        = ["10.200.0.0/16"]
}

# Ed25519 public keys of operators and approvers, by name: without keys there are no approvals, halts and retries. Each
# service checks signatures itself, so all need the same keys.
settings = {
  # Every task of people and jobs.
  operations = {
    SWITCHYARD_OPERATORS = "{}"
    SWITCHYARD_APPROVERS = "{}"
  }
  router = {
    SWITCHYARD_OPERATORS = "{}"
  }
  # No tenant has consented to memory across sessions; name them here and at the case manager.
  memory = {
    SWITCHYARD_OPERATORS = "{}"
  }
  email_sender = {
    SWITCHYARD_OPERATORS = "{}"
    SWITCHYARD_APPROVERS = "{}"
    # Under which identities people submit; what others ask for, two approvers must approve.
    SWITCHYARD_SUBMITTER_IDENTITIES = "{}"
  }
  case_manager = {
    SWITCHYARD_OPERATORS = "{}"
    SWITCHYARD_APPROVERS = "{}"
    # Under which identities people submit; what others ask for, two approvers must approve.
    SWITCHYARD_SUBMITTER_IDENTITIES = "{}"
    # The public key of the ingress: without it no submission of the API becomes a case.
    SWITCHYARD_PRINCIPAL_KEYS = <<-JSON
      {"upstream.ingress": {}}
    JSON
    # Without it every source that IAM allows on the bus is trusted.
    SWITCHYARD_UPSTREAMS = <<-JSON
      {"upstream.ingress": {"tenants": ["*"], "roles": ["FIELD_*"]}, "upstream.email_feedback": {"tenants": ["*"]}}
    JSON
  }
  console = {
    SWITCHYARD_OPERATORS            = "{}"
    SWITCHYARD_APPROVERS            = "{}"
    SWITCHYARD_SUBMITTER_IDENTITIES = "{}"
    # The claim of the identity provider that holds viewer, operator, approver or auditor.
    SWITCHYARD_CONSOLE_ROLE_CLAIM = "roles"
  }
  identity = {
    # The public key of the ingress, which signs grants: without it none is accepted.
    SWITCHYARD_PRINCIPAL_KEYS = <<-JSON
      {"upstream.ingress": {}}
    JSON
    # What every user has: the scopes of `grant_policy`.
    SWITCHYARD_BASE_SCOPES = <<-JSON
      ["work_orders:read", "technicians:read"]
    JSON
    # Without a ceiling an agent obtains no token.
    SWITCHYARD_IDENTITY_CEILINGS = <<-JSON
      {"text_to_sql": {"audiences": {"https://acme-prod.snowflakecomputing.com": ["session:role:*"]}},
       "field_routing": {"audiences": {"https://work-orders.acme.example": ["work_orders:read", "technicians:read"]}},
       "well_data": {"audiences": {"https://wells.acme-prod.example": ["session:role:*"]}}}
    JSON
  }
  well_data = {
    # The basins whose wells each role may see; * stands for all.
    SWITCHYARD_WELL_BASINS = <<-JSON
      {"FIELD_ALL": ["*"], "FIELD_PERMIAN": ["Permian"]}
    JSON
  }
  email_feedback = {
    SWITCHYARD_FEEDBACK_TENANTS = <<-JSON
      {"harborline.example": "harbor-partners"}
    JSON
  }
}

default_size = { cpu = 256, memory = 1024, fewest = 2, most = 6, backlog_per_task = 40 }
agent_size   = { cpu = 1024, memory = 2048, fewest = 2, most = 6, backlog_per_task = 40 }
sizes = {
  # Only one task assigns log indexes at a time; a second one takes over if it stops.
  audit = { cpu = 512, memory = 1024, fewest = 2, most = 4, backlog_per_task = 2000 }
  # People and callers: two tasks, so that one may be replaced.
  api      = { cpu = 512, memory = 1024, fewest = 2, most = 2, backlog_per_task = 0 }
  console  = { cpu = 512, memory = 1024, fewest = 2, most = 2, backlog_per_task = 0 }
  identity = { cpu = 256, memory = 1024, fewest = 2, most = 2, backlog_per_task = 0 }
}

images = {
  "audit"          = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
  "cli"            = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
  "collector"      = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
  "compliance"     = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
  "email-sender"   = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
  "case-manager"   = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
  "drafter"        = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
  "api"            = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
  "console"        = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
  "email-feedback" = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
  "identity"       = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
  "judge"          = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
  "memory"         = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
  "router"         = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
  "field-routing"  = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
  "text-to-sql"    = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
  "well-data"      = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
  "triage"         = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
}

# A question waits for seconds, an email may wait for an hour.
oldest_message_s = { default = 30, audit = 300, compliance = 3600, email_sender = 3600, email_feedback = 300 }

objectives = { failover_percent = 10, failed_percent = 2, model_p95_ms = 20000, case_p95_s = { assist = 60 } }

architecture = "ARM64"
keep_images  = 60
alert_emails = ["oncall@acme.example"]
upstreams    = {}
trail        = { bucket = "acme-switchyard-prod-trail", keep_days = 400 }

collectors = 2
log_days   = 400
