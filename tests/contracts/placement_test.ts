import { assertEquals, assertStringIncludes } from "@std/assert";
import { defineEvent, type EventClass } from "@tidings/broker";
import { catalogue, compare } from "@tidings/broker/contracts";
import { z } from "zod";

const schema = z.object({ auctionId: z.string(), lotId: z.string() });

/** The findings when these classes replace those: side, verdict and message. */
async function findings(old: EventClass[], next: EventClass[]): Promise<string[][]> {
  const found = compare(await catalogue("old", old), await catalogue("new", next));
  return found.map(({ side, verdict, message }) => [side, verdict, message]);
}

Deno.test("catalogue() has the stream and the subject of a class that names them", async () => {
  const { $defs } = await catalogue("auction", [
    defineEvent("BidPlaced", { stream: "Auction", subject: "auction.id" }),
    defineEvent("BidRefused", { stream: "BidRefused" }),
  ]);
  const named = Object.values($defs).map((each) => [each["x-stream"], each["x-subject"]]);
  assertEquals(named, [["Auction", "auction.id"], [undefined, undefined]]);
});

Deno.test("compare() breaks on a class that moves to another stream", async () => {
  const [own, shared] = [defineEvent("X", { schema }), defineEvent("X", { schema, stream: "Auction" })];
  assertEquals(await findings([own], [shared]), [
    ["old readers", "breaks", 'new events go to the stream "Auction", and old readers read "X"'],
    [
      "old entries",
      "breaks",
      'stored entries stay in the stream "X", and the class reads "Auction": keep the class, and publish to "Auction" ' +
      "with a class of another type",
    ],
  ]);
  const verdicts = (await findings([shared], [own])).map(([, verdict]) => verdict);
  assertEquals(verdicts, ["breaks", "breaks"]);
  assertEquals((await findings([shared], [shared])).map(([, verdict]) => verdict), ["safe", "safe"]);
});

Deno.test("compare() breaks on another subject path, and cannot decide it when code upcasts the detail", async () => {
  const auction = defineEvent("X", { schema, subject: "auctionId" });
  const lot = defineEvent("X", { schema, subject: "lotId" });
  const [readers, entries] = await findings([auction], [lot]);
  assertEquals([readers![1], entries![1]], ["breaks", "breaks"]);
  assertStringIncludes(readers![2]!, "from detail.auctionId and new ones from detail.lotId");
  assertStringIncludes(entries![2]!, "the history and the revisions of each subject end");

  const renamed = defineEvent("X", {
    schema: z.object({ auction: z.string() }),
    subject: "auction",
    version: 2,
    upcast: { 1: ({ auctionId }) => ({ auction: auctionId }) },
  });
  const moves = (await findings([auction], [renamed])).filter(([, , message]) => message!.includes("subject"));
  const why = "the subject moved from detail.auctionId to detail.auction: check that the value is the same";
  assertEquals(moves, [["old readers", "unknown", why], ["old entries", "unknown", why]]);
});

Deno.test("compare() breaks on a subject path that is removed", async () => {
  const [readers, entries] = await findings(
    [defineEvent("X", { schema, subject: "auctionId" })],
    [defineEvent("X", { schema })],
  );
  assertEquals([readers![1], entries![1]], ["note", "breaks"]);
  assertStringIncludes(entries![2]!, "no longer takes the subject from detail.auctionId");
});

Deno.test("compare() notes a subject path that is added, and asks when the old subject's key encrypts", async () => {
  const [plain, named] = [defineEvent("X", { schema }), defineEvent("X", { schema, subject: "auctionId" })];
  const found = await findings([plain], [named]);
  assertEquals(found.map(([side, verdict]) => [side, verdict]), [["old readers", "note"], ["old entries", "note"]]);
  assertStringIncludes(found[1]![2]!, "those without one have that of detail.auctionId; none has a revision");

  const secret = { schema, sensitive: ["lotId"], encrypt: true } as const;
  const encrypted = await findings([defineEvent("X", secret)], [
    defineEvent("X", { ...secret, subject: "auctionId" }),
  ]);
  assertEquals(encrypted.map(([, verdict]) => verdict), ["note", "note", "unknown"]);
  assertStringIncludes(encrypted[2]![2]!, "check that it was always detail.auctionId");
});

Deno.test("compare() tells what a new type means for the stream that it joins", async () => {
  const shared = { schema, stream: "Auction", subject: "auctionId" } as const;
  const old = defineEvent("Old", shared);
  const of = (found: string[][]) => found.slice(0, 2).map(([, verdict]) => verdict);
  const joins = await findings([old], [defineEvent("New", shared), old]);
  assertEquals(of(joins), ["note", "safe"]);
  assertStringIncludes(joins[0]![2]!, "its groups skip the type until alterGroup adds it");
  const bare = await findings([old], [defineEvent("New", { schema, stream: "Auction" }), old]);
  assertEquals(of(bare), ["note", "unknown"]);
  assertStringIncludes(bare[1]![2]!, "neither revisions nor partitions");
  assertEquals(of(await findings([old], [defineEvent("New", { schema }), old])), ["safe", "safe"]);
});
