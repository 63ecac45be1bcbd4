import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { BrokerClosedError } from "../../../broker/mod.ts";
import { type BrokerContract, contract, Counted, Other, until } from "../../_broker_bench.ts";

export const requesting: readonly BrokerContract[] = [
  contract("33", "request() resolves with the reply that another broker publishes", async (bench) => {
    const asking = await bench.connect([Counted, Other]);
    const answering = await bench.connect([Counted, Other]);
    await answering.subscribe(Counted, async ({ detail: { n } }) => {
      await answering.publish(new Other({ n: 10 * n }));
    }, { group: "answers", concurrency: 10 });
    const replies = await Promise.all(Array.from({ length: 20 }, async (_, n) => {
      const event = new Counted({ n });
      const reply = await asking.request(event, { reply: Other });
      assertEquals(reply.causationId, event.id);
      return reply.detail.n;
    }));
    assertEquals(replies, Array.from({ length: 20 }, (_, n) => 10 * n));
  }),

  contract("33", "request() resolves with a reply that names its event as its origin", async (bench) => {
    const broker = await bench.connect([Counted, Other]);
    const asked: string[] = [];
    await broker.subscribe(Counted, ({ id }) => void asked.push(id), { group: "answers" });
    const replying = broker.request(new Counted({ n: 1 }), { reply: Other });
    await until(() => asked.length === 1, "the event was handled");
    await broker.publish(new Other({ n: 0 }));
    await broker.publish(new Other({ n: 2 }, { correlationId: asked[0]! }));
    assertEquals((await replying).detail.n, 2);
  }),

  contract(
    "33",
    "request() rejects when no reply comes in time, its signal aborts, or the broker closes",
    async (bench) => {
      const broker = await bench.connect([Counted, Other]);
      const ask = (options: object) => broker.request(new Counted({ n: 1 }), { reply: Other, ...options });
      const late = await assertRejects(() => ask({ timeout: 20 }), DOMException);
      assertEquals(late.name, "TimeoutError");
      assertStringIncludes(late.message, "no Other came within 20 ms");
      const reason = new Error("enough");
      const controller = new AbortController();
      const aborted = assertRejects(() => ask({ signal: controller.signal }), Error, "enough");
      controller.abort(reason);
      await aborted;
      await assertRejects(() => ask({ signal: AbortSignal.abort(reason) }), Error, "enough");
      for (const timeout of [0, NaN, Infinity]) await assertRejects(() => ask({ timeout }), RangeError, "timeout");
      await assertRejects(() => ask({ wait: 1 }), TypeError, "wait");
      await assertRejects(() => ask({ reply: class {} }), TypeError);
      const closed = assertRejects(() => ask({}), BrokerClosedError);
      await broker.close();
      await closed;
    },
  ),
];
