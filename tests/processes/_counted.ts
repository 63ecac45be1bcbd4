import { defineEvent } from "@tidings/broker";

/** What all processes publish and consume. */
export class Counted extends defineEvent("Counted")<{ n: number }> {}
