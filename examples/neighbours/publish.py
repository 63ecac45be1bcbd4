"""Publishes sales to a stream in three forms, and one with wrong fields: python3 publish.py HOST PORT STREAM"""

import json
import sys
import uuid

from resp import Redis

host, port, stream = sys.argv[1:]
redis = Redis(host, port)

# JSON in the field payload, and an id. The order of the fields does not matter, and unknown fields are kept.
sale = {"lot": "clock", "price": 75}
redis.send("XADD", stream, "*", "till", "7", "payload", json.dumps(sale), "id", str(uuid.uuid4()))

# The form of this package's ancestor in Python.
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

# A sale whose price is a text. A reader with a schema refuses it.
wrong = {"lot": "lamp", "price": "a lot"}
redis.send("XADD", stream, "*", "id", str(uuid.uuid4()), "payload", json.dumps(wrong))
