"""The broker beside a bare aiobotocore loop, taskiq-aio-sqs and dramatiq-sqs: CPU per message, latency, memory."""
