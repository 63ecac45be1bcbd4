"""Prints the entries of a stream as CloudEvents, one on each line: python3 read.py HOST PORT STREAM"""

import json
import sys

from resp import Redis

host, port, stream = sys.argv[1:]
name = stream.split(":", 1)[1]
for position, flat in Redis(host, port).send("XRANGE", stream, "-", "+"):
    fields = dict(zip(flat[::2], flat[1::2]))
    event = {
        "specversion": "1.0",
        "id": fields.pop("id", name + ":" + position),
        "type": name,
        "source": fields.pop("source", "/" + name),
        "data": json.loads(fields.pop("payload")),
        "datacontenttype": "application/json",
        "position": position,
    }
    event.update(json.loads(fields.pop("ext", "{}")))
    event.update(fields)
    print(json.dumps(event))
