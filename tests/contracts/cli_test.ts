import { assertEquals, assertStringIncludes } from "@std/assert";
import { contracts } from "../../src/contracts/cli.ts";

/** Runs the command: its exit code, and what it printed. */
async function run(...args: string[]): Promise<[number, string]> {
  const lines: string[] = [];
  const code = await contracts(args, (line) => lines.push(line));
  return [code, lines.join("\n")];
}

Deno.test("the committed catalogue of the auction is up to date", async () => {
  assertEquals(await run("check", "examples/auction/events.ts"), [
    0,
    "contracts/auction.schema.json is up to date\ncontracts/auction.asyncapi.json is up to date",
  ]);
});

Deno.test("contracts exits with 0 when nothing breaks, 1 when something does, and 2 for wrong usage", async () => {
  const out = await Deno.makeTempDir({ prefix: "tidings-contracts-" });
  try {
    const module = "examples/auction/events.ts";
    const [missing] = await run("check", module, `--out=${out}`);
    assertEquals(missing, 1);
    assertEquals((await run("write", module, `--out=${out}`))[0], 0);
    assertEquals((await run("check", module, `--out=${out}`))[0], 0);

    const file = `${out}/auction.schema.json`;
    const [same, json] = await run("compare", `--against=${file}`, module, "--json");
    assertEquals([same, JSON.parse(json).length], [0, 6]);

    const old = JSON.parse(await Deno.readTextFile(file));
    old.$defs["AuctionCancelled.1"] = { ...old.$defs["AuctionEnded.1"], "x-type": "AuctionCancelled" };
    await Deno.writeTextFile(file, JSON.stringify(old));
    const [broken, told] = await run("compare", file, module);
    assertEquals(broken, 1);
    assertStringIncludes(told, "BREAKS  AuctionCancelled, old entries: the type was removed");
  } finally {
    await Deno.remove(out, { recursive: true });
  }
  for (const args of [[], ["write"], ["compare", "x"], ["write", "x", "--nope"], ["compare", "no.json", "no.json"]]) {
    assertEquals((await run(...args))[0], 2, args.join(" "));
  }
});
