import type { DomainEvent } from "../../../events/mod.ts";
import { Bell } from "../../../store/_bell.ts";
import { Fifo } from "../../../store/_fifo.ts";
import type { JobDelivery } from "../_job.ts";
import { Pulled } from "./_pulled_delivery.ts";
import type { Handler, PulledDelivery } from "../../delivery.ts";
import type { GroupSubscription } from "../_group_subscription.ts";

/** Turns a subscription inside out: what its handler would get is yielded, and settled by whoever pulls. */
export async function* pull<E extends DomainEvent>(
  subscribe: (handler: Handler<E>) => Promise<GroupSubscription>,
): AsyncGenerator<PulledDelivery<E>, void, void> {
  const arrived = new Fifo<Pulled<E>>();
  const unsettled = new Set<Pulled<E>>();
  const bell = new Bell();
  let closed = false;
  const subscription = await subscribe((_event, delivery) => {
    const pulled = new Pulled(delivery as JobDelivery<E>);
    unsettled.add(pulled);
    const settled = () => void unsettled.delete(pulled);
    pulled.handled.then(settled, settled);
    if (closed) pulled.release();
    else arrived.push(pulled);
    bell.ring();
    return pulled.handled;
  });
  // What has arrived and was not pulled yet goes back at once; what was pulled has `drainTimeout` to be settled.
  const end = () => {
    closed = true;
    for (const pulled of arrived.drain()) pulled.release();
    bell.ring();
  };
  subscription.closing.addEventListener("abort", end);
  if (subscription.closing.aborted) end();
  try {
    while (!closed) {
      const next = arrived.shift();
      if (next === undefined) await bell.wait(undefined);
      else if (!next.signal.aborted) yield next;
    }
    await subscription.closed;
  } finally {
    end();
    for (const pulled of unsettled) pulled.release();
    await subscription.close();
  }
}
