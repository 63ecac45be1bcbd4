/** A directory of one test's own, and the path of a database in it. */
export interface Scratch extends Disposable {
  readonly path: string;
  readonly file: string;
}

/** Makes a directory that goes with the test. */
export function scratch(): Scratch {
  const path = Deno.makeTempDirSync({ prefix: "tidings-" });
  return { path, file: `${path}/events.db`, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}
