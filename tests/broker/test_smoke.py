import asyncio, json
from faststream_sqs import SQSMessage, EventBridgeEnvelope
async def test_a(broker, queue, clients):
    got = asyncio.Queue()
    sub = broker.subscriber(queue.name, wait_time=1)
    @sub
    async def h(body: dict, message: SQSMessage) -> None:
        await got.put((body, message.raw_body, message.receive_count, message.sent_at, message.queue))
    await broker.start()
    await broker.publish({"a": 1}, queue=queue.name, attributes={"x": 1, "y": b"1"})
    await broker.publish('{"a": 2}', queue.name)
    print(await asyncio.wait_for(got.get(), 5), await asyncio.wait_for(got.get(), 5))
    await broker.stop()
    assert await queue.counts() == (0, 0)
async def test_b(broker, queue, clients):
    got = asyncio.Queue()
    ev = broker.event_publisher("bus-x")
    sub = broker.subscriber(queue.name, wait_time=1, batch=True, detail_type="T")
    @sub
    async def h(body: list[dict], message: SQSMessage) -> None:
        await got.put((body, message))
    sqs, events = clients
    await events.create_event_bus(Name="bus-x")
    await events.put_rule(Name="r", EventBusName="bus-x", EventPattern=json.dumps({"source": ["s"]}))
    arn = (await sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["QueueArn"]))["Attributes"]["QueueArn"]
    await events.put_targets(Rule="r", EventBusName="bus-x", Targets=[{"Id": "1", "Arn": arn}])
    await broker.start()
    print(await asyncio.gather(*(ev.publish({"n": i}, source="s", detail_type="T") for i in range(25))))
    n = 0
    while n < 25:
        b, m = await asyncio.wait_for(got.get(), 5); n += len(b); print(b, m.messages[0].envelope)
    await broker.stop()
    assert await queue.counts() == (0, 0)
