"""Each image started as ECS would start it: with the container settings that terraform gives it, against containers
that stand for AWS. `make test-task-containers`; needs Docker and terraform, and no account.
"""
