// Stand-in for jsr:@std/fmt/colors: the same source, compiled, with the declarations that npm lacks.
// @ts-types="./colors.d.ts"
export * from "npm:deno-std@1.4.0/fmt/colors.js";
