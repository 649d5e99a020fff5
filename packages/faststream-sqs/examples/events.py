"""EventBridge events: published to a bus, sent by a rule to a queue, filtered by type and source.

python events.py
"""

import asyncio
import json

from aiobotocore.session import get_session
from faststream import FastStream

from faststream_sqs import SQSBroker, SQSMessage

BUS, QUEUE, REFUSED = "example-shop", "example-shipping", "example-shipping-dlq"

broker = SQSBroker(declare="create")
app = FastStream(broker)
orders = broker.event_publisher(BUS, source="shop.tills")


@broker.subscriber(QUEUE, detail_type="OrderPlaced", source="shop.tills", dead_letter_queue=REFUSED, wait_time=1)
async def ship(order: dict[str, int], message: SQSMessage) -> None:
    assert message.envelope is not None  # what EventBridge put around the detail, which is the body
    print(f"shipping order {order['id']}, a {message.envelope.detail_type} from {message.envelope.source}")


@broker.subscriber(REFUSED, wait_time=1)
async def look(body: dict[str, int], message: SQSMessage) -> None:
    print(f"refused order {body['id']}: {message.headers['reject-reason']}")
    app.exit()


@app.after_startup
async def send() -> None:
    await let_the_bus_fill_the_queue()
    await orders.publish({"id": 7}, detail_type="OrderPlaced")
    await orders.publish({"id": 8}, detail_type="OrderCancelled")  # the rule is too wide


async def let_the_bus_fill_the_queue() -> None:  # in production, this is in Terraform or CloudFormation
    session = get_session()
    async with session.create_client("sqs") as sqs, session.create_client("events") as events:
        url = (await sqs.get_queue_url(QueueName=QUEUE))["QueueUrl"]
        found = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        arn = found["Attributes"]["QueueArn"]
        rule = await events.put_rule(Name=QUEUE, EventBusName=BUS, EventPattern='{"source": ["shop.tills"]}')
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": rule["RuleArn"]}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        await sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        await events.put_targets(Rule=QUEUE, EventBusName=BUS, Targets=[{"Id": "queue", "Arn": arn}])


if __name__ == "__main__":
    asyncio.run(app.run())
