bucket       = "acme-dev-state"
key          = "switchyard.tfstate"
region       = "us-east-1"
encrypt      = true
use_lockfile = true
