/**
 * Replaces an encrypted value whose key was deleted. A handler checks for it with `instanceof` and goes on without the
 * value. In JSON and in logs it is the text `"[shredded]"`. It cannot be published again.
 *
 * @example Handle a name whose key was deleted
 * ```ts
 * import { Shredded } from "@tidings/broker/encryption";
 * import { assertEquals } from "@std/assert";
 *
 * const greeting = (name: string | Shredded) => name instanceof Shredded ? "Hello" : `Hello ${name}`;
 * assertEquals(greeting("Ada"), "Hello Ada");
 * assertEquals(greeting(new Shredded()), "Hello");
 * ```
 */
export class Shredded {
  static {
    // Defined here and not as members: a computed name that is not a literal would make the class a slow type on JSR.
    const inspected = (): string => "[shredded]";
    for (const name of ["nodejs.util.inspect.custom", "Deno.customInspect"]) {
      Object.defineProperty(this.prototype, Symbol.for(name), { value: inspected });
    }
  }

  /** Returns `"[shredded]"`. */
  toString(): string {
    return "[shredded]";
  }

  /** Returns `"[shredded]"`. */
  toJSON(): string {
    return "[shredded]";
  }
}
