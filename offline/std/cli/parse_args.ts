// Stand-in for jsr:@std/cli/parse-args: the same source, compiled, with the declarations that npm lacks.
// @ts-types="./parse_args.d.ts"
export * from "npm:deno-std@1.4.0/cli/parse_args.js";
