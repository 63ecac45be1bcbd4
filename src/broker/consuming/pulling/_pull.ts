import type { DomainEvent } from "../../../events/mod.ts";
import { WakeUp } from "../../../store/_wake_up.ts";
import { Fifo } from "../../../store/_fifo.ts";
import type { PulledDelivery } from "../../delivery.ts";
import type { Observers } from "../../observing/_observers.ts";
import type { GroupSubscription } from "../_group_subscription.ts";
import type { Deliver } from "../jobs/_job_runner.ts";
import { Pulled } from "./_pulled_delivery.ts";

// A warning is dispatched when closing has waited this long for pulled deliveries, in milliseconds. The code that holds a
// delivery may be the code that awaits the closing, which cannot be detected.
const PATIENCE = 1_000;

/** Yields the deliveries of a subscription; its caller settles each. */
export async function* pull<E extends DomainEvent>(
  subscribe: (deliver: Deliver) => Promise<GroupSubscription>,
  observers: Observers,
): AsyncGenerator<PulledDelivery<E>, void, void> {
  const arrived = new Fifo<Pulled<E>>();
  const unsettled = new Set<Pulled<E>>();
  const arrival = new WakeUp();
  let closed = false;
  let impatience: ReturnType<typeof setTimeout> | undefined;
  const subscription = await subscribe((job, onEnd) => {
    const pulled = new Pulled<E>(job, (...end) => {
      unsettled.delete(pulled);
      if (unsettled.size === 0) clearTimeout(impatience);
      onEnd(...end);
    });
    unsettled.add(pulled);
    if (closed) pulled.giveBack();
    else arrived.push(pulled);
    arrival.wake();
  });
  // Deliveries that were not pulled yet are released at once. Pulled deliveries can be settled until `drainTimeout` is over.
  const end = () => {
    closed = true;
    for (const pulled of arrived.drain()) pulled.giveBack();
    arrival.wake();
  };
  // Deliveries of a partition that moves to another consumer, and that were not pulled yet, are released at once.
  subscription.onDrain = (source) => {
    for (const pulled of arrived.drain()) {
      if (pulled.source === source) pulled.giveBack();
      else arrived.push(pulled);
    }
  };
  subscription.closing.addEventListener("abort", () => {
    end();
    const { group, drainTimeout } = subscription.settings;
    if (unsettled.size === 0 || drainTimeout <= PATIENCE) return;
    impatience = setTimeout(() => {
      const held = unsettled.size === 1 ? "a pulled delivery is" : `${unsettled.size} pulled deliveries are`;
      subscription.warn(
        `Cannot close the consumer of group "${group}" yet: ${held} not settled; settle or release a delivery before you ` +
          `await close, or closing waits for drainTimeout (${drainTimeout} ms)`,
      );
    }, PATIENCE);
  });
  if (subscription.closing.aborted) end();
  try {
    while (!closed) {
      const next = arrived.shift();
      if (next === undefined) await arrival.wait(undefined);
      else if (next.signal.aborted) next.giveBack();
      else if (next.isExpired) next.expire();
      else {
        next.pulled(observers);
        yield next;
      }
    }
    await subscription.closed;
  } finally {
    end();
    for (const pulled of unsettled) pulled.giveBack();
    await subscription.close();
  }
}
