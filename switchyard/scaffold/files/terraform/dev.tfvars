# Values of dev. Placeholders to replace: account, buckets, repository, image digests.

environment            = "dev"
account                = "111122223333"
region                 = "us-east-1"
code_version           = "unreleased"
repository             = "example/acme"
create_github_provider = true

cidr  = "10.40.0.0/16"
zones = 2
# For trials without real data: no list of hosts but DNS's, one NAT, endpoints in one zone, tasks that AWS may take away.
firewall           = false
endpoint_zones     = 1
spot               = true
container_insights = false
hosts = {
  openai   = ["api.openai.com"]
  identity = ["login.acme.example"]
}

postgres_version    = "18"
db_ca_file          = "/etc/ssl/certs/rds-global-bundle.pem"
multi_az            = false
backup_days         = 7
deletion_protection = false
work_db             = { instance_class = "db.t4g.small", storage_gb = 20, max_connections = 200 }
audit_db            = { instance_class = "db.t4g.small", storage_gb = 20, max_connections = 90 }

objects_bucket  = "acme-dev-objects"
quarantine_days = 90
checkpoints     = { bucket = "acme-dev-checkpoints", lock_mode = "GOVERNANCE", keep_days = 30 }

models = {
  bedrock                   = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
  bedrock_foundation        = "anthropic.claude-sonnet-4-5-20250929-v1:0"
  bedrock_guardrail         = ""
  bedrock_guardrail_version = ""
  openai                    = "gpt-5.2"
}

# Where browsers find the console, from which networks of yours, and its client at your identity provider.
console = {
  url             = "https://console.dev.acme.example"
  certificate_arn = "arn:aws:acm:us-east-1:111122223333:certificate/00000000-0000-0000-0000-000000000000"
  networks        = ["10.200.0.0/16"]
  client_id       = "acme-console"
  authorize_url   = "https://login.acme.example/authorize"
}
identity = {
  issuer    = "https://login.acme.example"
  jwks_url  = "https://login.acme.example/.well-known/jwks.json"
  token_url = "https://login.acme.example/token"
}

# The API: users' tokens at your identity provider, and where callers read their cases.
ingress = {
  package     = "../dist/ingress.zip"
  rate        = 20
  concurrency = 10
  identity = {
    issuer       = "https://login.acme.example"
    audience     = "acme-switchyard"
    jwks_url     = "https://login.acme.example/.well-known/jwks.json"
    tenant_claim = "tenant"
    role_claim   = "roles"
  }
}
api = {
  certificate_arn = "arn:aws:acm:us-east-1:111122223333:certificate/00000000-0000-0000-0000-000000000001"
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
  case_manager = {
    SWITCHYARD_OPERATORS = "{}"
    SWITCHYARD_APPROVERS = "{}"
    # Under which identities people submit; what others ask for, two approvers must approve.
    SWITCHYARD_SUBMITTER_IDENTITIES = "{}"
    # Without it every source that IAM allows on the bus is trusted.
    SWITCHYARD_UPSTREAMS = <<-JSON
      {"upstream.ingress": {"tenants": ["*"]}, "upstream.portal": {"tenants": ["*"]}}
    JSON
    # The public key of the secret switchyard/principal_key, by source and key id: 32 bytes in hex.
    SWITCHYARD_PRINCIPAL_KEYS = <<-JSON
      {"upstream.ingress": {"2026-11": "0000000000000000000000000000000000000000000000000000000000000000"}}
    JSON
  }
  console = {
    SWITCHYARD_OPERATORS            = "{}"
    SWITCHYARD_APPROVERS            = "{}"
    SWITCHYARD_SUBMITTER_IDENTITIES = "{}"
    # The claim of the identity provider that holds viewer, operator, approver or auditor.
    SWITCHYARD_CONSOLE_ROLE_CLAIM = "roles"
  }
}

default_size = { cpu = 256, memory = 512, fewest = 1, most = 1, backlog_per_task = 40 }
agent_size   = { cpu = 256, memory = 512, fewest = 1, most = 1, backlog_per_task = 40 }
sizes = {
  # Only one task assigns log indexes at a time; a second one takes over if it stops.
  audit = { cpu = 256, memory = 512, fewest = 1, most = 2, backlog_per_task = 2000 }
}

images = {
  "api"          = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
  "assistant"    = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
  "audit"        = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
  "case-manager" = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
  "cli"          = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
  "console"      = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
  "collector"    = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
  "router"       = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
}

oldest_message_s = { default = 30, audit = 300 }

objectives = { failover_percent = 10, failed_percent = 2, model_p95_ms = 20000, case_p95_s = { requests = 60 } }

architecture = "ARM64"
keep_images  = 60
alert_emails = ["oncall@acme.example"]
upstreams    = {}
trail        = { bucket = "acme-dev-trail", keep_days = 90 }

collectors = 1
log_days   = 30
