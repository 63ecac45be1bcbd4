// Stand-in for jsr:@std/encoding/base64url: the same source, compiled, with the declarations that npm lacks.
// @ts-types="./base64url.d.ts"
export * from "npm:deno-std@1.4.0/encoding/base64url.js";
