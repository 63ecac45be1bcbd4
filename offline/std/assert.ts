// Stand-in for jsr:@std/assert: the same sources, compiled, with the declarations that npm lacks.
// @ts-types="./assert.d.ts"
export * from "npm:deno-std@1.4.0/assert/mod.js";
