import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { fileURLToPath } from "node:url";
import { defineEvent } from "@tidings/broker";
import { asyncApi, catalogue } from "@tidings/broker/contracts";
import { z } from "zod";
import { AuctionEnded, BidderRegistered, PaymentProcessed } from "../../examples/auction/events.ts";

interface Parsed {
  /** Errors and warnings. */
  faults: { severity: number; message: string; path: string[] }[];
  addresses: string[];
  correlation: string;
}

async function parsed(document: unknown): Promise<Parsed> {
  const script = fileURLToPath(new URL("_official_parser.ts", import.meta.url));
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-config", "--no-lock", "--no-check", script, "npm:@asyncapi/parser@^3"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const output = child.output();
  await new Response(JSON.stringify(document)).body!.pipeTo(child.stdin);
  const { success, stdout, stderr } = await output;
  assert(success, new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

Deno.test("the official parser reads asyncApi()'s document of the auction", async () => {
  const made = await catalogue("auction", [AuctionEnded, BidderRegistered, PaymentProcessed]);
  const { faults, addresses, correlation } = await parsed(asyncApi(made));
  assertEquals(faults.filter(({ severity }) => severity === 0), []);
  assertEquals(addresses.sort(), [
    "events:AuctionEnded",
    "events:BidderRegistered",
    "events:PaymentProcessed",
  ]);
  assertEquals(correlation, "$message.header#/correlationid");
});

Deno.test("the official parser reads tuples, unions and schemas that refer to themselves", async () => {
  const Node = z.object({
    name: z.string(),
    get kids() {
      return z.array(Node);
    },
  });
  const schema = z.object({ root: Node, pair: z.tuple([z.string(), z.number()]), or: z.union([z.string(), z.null()]) });
  const { faults, addresses } = await parsed(asyncApi(await catalogue("odd", [defineEvent("Tree/Grown", { schema })])));
  assertEquals(faults.filter(({ severity }) => severity === 0), []);
  assertEquals(addresses[0], "events:Tree/Grown");
});

Deno.test("the official parser reads the partitions of a stream as a parameter of its channel", async () => {
  const classes = [
    defineEvent("BidPlaced", { stream: "Auction", subject: "auctionId" })<{ auctionId: string }>,
    AuctionEnded,
  ];
  const made = await catalogue("auction", classes);
  const document = asyncApi(made, { streams: { Auction: { partitions: 3 }, AuctionEnded: {} } });
  const { faults, addresses } = await parsed(document);
  assertEquals(faults.filter(({ severity }) => severity === 0), []);
  assertEquals(addresses.sort(), ["events:Auction#{partition}", "events:AuctionEnded"]);
  const { Auction } = document.channels as { Auction: { parameters: { partition: { enum: string[] } } } };
  assertEquals(Auction.parameters.partition.enum, ["0", "1", "2"]);
  const unknown = assertThrows(() => asyncApi(made, { streams: { Bids: { partitions: 3 } } }), TypeError);
  assertStringIncludes(unknown.message, "AuctionEnded, Auction");
});

Deno.test("the official parser reads one channel for the types that share a stream", async () => {
  const shared = { stream: "Auction", subject: "auctionId" } as const;
  const classes = [defineEvent("BidPlaced", shared), defineEvent("AuctionEnded", shared), defineEvent("Auction")];
  const document = asyncApi(await catalogue("shared", classes));
  const { faults, addresses } = await parsed(document);
  assertEquals(faults.filter(({ severity }) => severity === 0), []);
  assertEquals(addresses, ["events:Auction"]);
  const { channels, components } = document as {
    channels: Record<string, { messages: object }>;
    components: { messages: Record<string, { headers: unknown }> };
  };
  assertEquals(Object.keys(channels["Auction"]!.messages), ["Auction.1", "AuctionEnded.1", "BidPlaced.1"]);
  const fields = { $ref: "#/components/schemas/EntryFields" };
  assertEquals(components.messages["Auction.1"]!.headers, fields);
  assertEquals(components.messages["BidPlaced.1"]!.headers, {
    allOf: [fields, {
      type: "object",
      properties: {
        type: { const: "BidPlaced" },
        subject: { type: "string", description: "The same as `auctionId` in the payload." },
      },
      required: ["type", "subject"],
    }],
  });
});
