// The part of std's typing that the project needs: flags named in `boolean`, `string`, `collect` and `default` are typed.
type Names<N extends string> = N | readonly N[];

export interface ParseOptions<B extends string, S extends string, C extends string, D extends object> {
  boolean?: Names<B>;
  string?: Names<S>;
  collect?: Names<C>;
  negatable?: Names<string>;
  default?: D;
  alias?: Partial<Record<string, Names<string>>>;
  stopEarly?: boolean;
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

/** Flags that have a default are never undefined. */
export type Args<B extends string, S extends string, C extends string, D extends object> =
  & { [name in B]: boolean }
  & { [name in C]: string[] }
  & { [name in Exclude<S, C | keyof D>]?: string }
  & { [name in Extract<S, keyof D>]: string }
  & { [name in Exclude<keyof D, B | S | C>]: D[name] }
  & { _: (string | number)[] }
  & Record<string, unknown>;

export function parseArgs<
  const B extends string = never,
  const S extends string = never,
  const C extends string = never,
  D extends object = Record<never, never>,
>(args: readonly string[], options?: ParseOptions<B, S, C, D>): Args<B, S, C, D>;
