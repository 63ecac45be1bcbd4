// Guarantees 17, 19: processes that die, stand still and are held up, in an order that chance chooses.

import { mix } from "./_mixture.ts";
import { testFault } from "./_seed.ts";

testFault(
  "consumers that are killed four times, stopped and held up at random lose nothing, on any store",
  (chance) => mix(chance, 4),
  Deno.build.os === "windows",
);
