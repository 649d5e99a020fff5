"""A router, a dependency, a middleware: what FastStream offers to every broker.

python application.py
"""

import asyncio
from typing import Annotated, Any

from faststream import BaseMiddleware, Context, Depends, FastStream

from faststream_sqs import SQSBroker, SQSMessage, SQSRouter


class Stopwatch(BaseMiddleware[Any, Any]):
    """Goes around every handler call."""

    async def consume_scope(self, call_next: Any, msg: Any) -> Any:
        started = asyncio.get_running_loop().time()
        try:
            return await call_next(msg)
        finally:
            seconds = asyncio.get_running_loop().time() - started
            print(f"{msg.queue} took {'less' if seconds < 5 else 'more'} than five seconds")


async def tenant(message: SQSMessage) -> str:
    """Whose order it is: an attribute of the message."""
    return str(message.headers["tenant"])


Tenant = Annotated[str, Depends(tenant)]
Prices = Annotated[dict[str, int], Context()]

router = SQSRouter(prefix="example-", middlewares=[Stopwatch])


@router.subscriber("quotes", wait_time=1)
@router.publisher("answers")
async def quote(item: str, tenant: Tenant, prices: Prices) -> dict[str, Any]:
    """What is returned goes to the queue `example-answers`."""
    return {"tenant": tenant, "item": item, "price": prices[item]}


@router.subscriber("answers", wait_time=1)
async def answer(offer: dict[str, Any]) -> None:
    print(f"{offer['item']} costs {offer['tenant']} {offer['price']}")
    app.exit()


broker = SQSBroker(declare="create", routers=[router])
app = FastStream(broker)
app.context.set_global("prices", {"kettle": 40})


@app.after_startup
async def ask() -> None:
    await broker.publish("kettle", queue="example-quotes", headers={"tenant": "acme"})


if __name__ == "__main__":
    asyncio.run(app.run())
