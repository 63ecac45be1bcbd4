import fc from "fast-check";
import { PROPERTIES } from "./_any_entry.ts";

for (const [name, property] of Object.entries(PROPERTIES)) {
  Deno.test(`EventCodec.${name}`, () => void fc.assert(property, { numRuns: 1_500 }));
}
