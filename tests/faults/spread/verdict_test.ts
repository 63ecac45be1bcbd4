// The chaos test of partitions can only be believed if its judge sees broken promises.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { GROUPS } from "./_bids.ts";
import { type Stored, Verdict } from "./_verdict.ts";

const POSITIONS = ["1-0", "2-0", "3-0"];
const HISTORY: readonly Stored[] = ["a", "b", "c"].map((id, n) => ({
  id,
  position: POSITIONS[n]! as Stored["position"],
  auctionId: id === "c" ? "other" : "lamp",
  by: "p1-1",
  n: id === "c" ? 0 : n,
}));

/** The log of a run in which each event is accepted, and handled in order. */
function goodLog(): string[] {
  const published = HISTORY.flatMap((
    { id, position },
  ) => [`0 p1-1 try ${id} lamp 0`, `0 p1-1 accepted ${id} ${position}`]);
  const handled = GROUPS.flatMap((group) =>
    HISTORY.flatMap((
      { id, position },
    ) => [`0 c1-1 start ${group} ${id} ${position} 1 0`, `0 c1-1 ok ${group} ${id} ${position}`])
  );
  return [...published, ...handled];
}

const faultsOf = (log: readonly string[], history = HISTORY) => new Verdict(log.join("\n"), ["over"]).faults(history);
const swapped = (lines: readonly string[], one: string, other: string) =>
  lines.map((line) => line === one ? other : line === other ? one : line);

Deno.test("the verdict finds nothing in a good run", () => {
  assertEquals(faultsOf(goodLog()), []);
  // A repeat is allowed, also in another order.
  assertEquals(faultsOf([...goodLog(), "0 c2-1 start handled a 1-0 1 1"]), []);
});

Deno.test("the verdict finds events that are lost, doubled, moved or missing", () => {
  const [fault] = faultsOf(goodLog(), HISTORY.slice(1));
  assertStringIncludes(fault!, "a was accepted at 1-0 and is stored at undefined");
  assertStringIncludes(faultsOf(goodLog(), [...HISTORY, HISTORY[0]!])[0]!, "a is stored at 1-0 and 1-0");
  const unhandled = goodLog().filter((line) => !line.includes("ok pulled c"));
  assertStringIncludes(faultsOf(unhandled)[0]!, "c of other is missing in pulled");
  const reversed = [HISTORY[1]!, HISTORY[0]!, HISTORY[2]!];
  assertStringIncludes(faultsOf(goodLog(), reversed)[0]!, "a was published before");
});

Deno.test("the verdict finds an event whose handler starts before the end of the one before it", () => {
  for (const group of ["handled", "pulled", "held"]) {
    const log = swapped(goodLog(), `0 c1-1 ok ${group} a 1-0`, `0 c1-1 start ${group} b 2-0 1 0`);
    const faults = faultsOf(log);
    assertEquals(faults.length, 1);
    assertStringIncludes(faults[0]!, `lamp in ${group}: b at 2-0 began before the end of a at 1-0`);
  }
  const shared = swapped(goodLog(), "0 c1-1 ok shared a 1-0", "0 c1-1 start shared b 2-0 1 0");
  assertEquals(faultsOf(shared), []);
});

Deno.test("the verdict finds lines that must not be there", () => {
  assertEquals(faultsOf([...goodLog(), "0 c1-1 over handled Error"]), ["0 c1-1 over handled Error"]);
});

Deno.test("the verdict judges the order of entries that a failover has lost by themselves", () => {
  const lost = [
    "0 p1-1 try d lamp 0",
    "0 p1-1 try e lamp 0",
    "0 c1-1 start handled d 4-0 1 0",
    "0 c1-1 ok handled d 4-0",
    "0 c1-1 start handled e 4-1 1 0",
  ];
  // Published again, they have another order.
  const again = ["e", "d"].flatMap((id) =>
    GROUPS.flatMap((group) => [`0 c1-1 start ${group} ${id} 5-0 1 0`, `0 c1-1 ok ${group} ${id} 5-0`])
  );
  const history = [
    ...HISTORY,
    ...["e", "d"].map((id, n) => ({
      id,
      position: "5-0" as Stored["position"],
      auctionId: "lamp",
      by: "p1-1",
      n: 2 + n,
    })),
  ];
  const faultsOf = (log: readonly string[]) => {
    return new Verdict([...goodLog(), ...log].join("\n"), []).faults(history, { failovers: true });
  };
  assertEquals(faultsOf([...lost, ...again]), []);
  const [fault] = faultsOf([...swapped(lost, lost[3]!, lost[4]!), ...again]);
  assertStringIncludes(fault!, "lamp in handled: e at 4-1 began before the end of d at 4-0");
});
