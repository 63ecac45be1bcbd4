"""Publishes three sales to a stream, each in another way: python3 publish.py HOST PORT STREAM"""

import json
import sys
import uuid

from resp import Redis

host, port, stream = sys.argv[1:]
redis = Redis(host, port)

# JSON in the field payload, and an id. The order of the fields says nothing, and what nobody knows is kept.
sale = {"lot": "clock", "price": 75}
redis.send("XADD", stream, "*", "till", "7", "payload", json.dumps(sale), "id", str(uuid.uuid4()))

# As this package's ancestor in Python did it.
old = {"lot_name": "vase", "price_usd": 120.5}
redis.send("XADD", stream, "*", "event_type", "LotSold", "payload", json.dumps(old))

# A CloudEvent in the structured JSON format.
event = {
    "specversion": "1.0",
    "id": str(uuid.uuid4()),
    "source": "/python",
    "type": "LotSold",
    "subject": "globe",
    "time": "2026-01-02T03:04:05Z",
    "region": "eu",
    "data": {"lot": "globe", "price": 40},
}
redis.send("XADD", stream, "*", "payload", json.dumps(event))
