// Stand-in for jsr:@std/uuid/v7: the same source, compiled, with the declarations that npm lacks.
// @ts-types="./v7.d.ts"
export * from "npm:deno-std@1.4.0/uuid/v7.js";
