import { assertEquals } from "@std/assert";
import type { Parser as ParserType } from "./_async_api_parser.d.ts";
import { defineEvent } from "@tidings/broker";
import { asyncApi, catalogue } from "@tidings/broker/contracts";
import { z } from "zod";
import { AuctionEnded, BidderRegistered, PaymentProcessed } from "../../examples/auction/events.ts";

// Its own types bring a DOM that is not Deno's: by a name that the type check cannot follow they stay away.
const PACKAGE: string = "@asyncapi/parser";
const { Parser }: { Parser: typeof ParserType } = await import(PACKAGE);

async function parsed(document: unknown) {
  const { document: read, diagnostics } = await new Parser().parse(JSON.stringify(document));
  const faults = diagnostics.filter(({ severity }) => severity <= 1).map(({ message, path }) =>
    `${path.join(".")}: ${message}`
  );
  return { read, faults };
}

Deno.test("the official parser reads asyncApi()'s document of the auction", async () => {
  const made = await catalogue("auction", [AuctionEnded, BidderRegistered, PaymentProcessed]);
  const { read, faults } = await parsed(asyncApi(made));
  assertEquals(faults.filter((fault) => !/tags|license|contact|servers|latest/i.test(fault)), []);
  assertEquals(read?.allChannels().all().map((channel) => channel.address()).sort(), [
    "events:AuctionEnded",
    "events:BidderRegistered",
    "events:PaymentProcessed",
  ]);
  assertEquals(read?.allMessages().all()[0]?.correlationId()?.location(), "$message.header#/correlationid");
});

Deno.test("the official parser reads tuples, unions and schemas that refer to themselves", async () => {
  const Node = z.object({
    name: z.string(),
    get kids() {
      return z.array(Node);
    },
  });
  const schema = z.object({ root: Node, pair: z.tuple([z.string(), z.number()]), or: z.union([z.string(), z.null()]) });
  const { read, faults } = await parsed(asyncApi(await catalogue("odd", [defineEvent("Tree/Grown", { schema })])));
  assertEquals(faults.filter((fault) => !/tags|license|contact|servers|latest/i.test(fault)), []);
  assertEquals(read?.allChannels().all()[0]?.address(), "events:Tree/Grown");
});
