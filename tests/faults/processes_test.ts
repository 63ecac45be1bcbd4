// Guarantees 17, 19: processes that die, freeze and block, in random order.

import { mix } from "./_mixture.ts";
import { testFault } from "./_seed.ts";

testFault(
  "subscribe() loses nothing when consumers are killed four times, frozen and blocked at random, on any store",
  (chance) => mix(chance, 4),
  Deno.build.os === "windows",
);
