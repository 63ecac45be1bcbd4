/** A card company's books: one file for each charge, named by its idempotency key. */
export class Ledger implements AsyncDisposable {
  /** Its directory. */
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Opens a new one in a directory; it is gone when it is disposed of. */
  static async open(directory: string): Promise<Ledger> {
    await Deno.mkdir(directory, { recursive: true });
    return new Ledger(await Deno.makeTempDir({ dir: directory, prefix: "ledger-" }));
  }

  /**
   * Enters a charge, unless one of that key is there: to the system this is one step, whatever other processes do.
   *
   * @returns Whether it is new.
   */
  async enter(idempotencyKey: string, auctionId: string, amount: number): Promise<boolean> {
    try {
      const entry = JSON.stringify([auctionId, amount.toFixed(2), Deno.pid, idempotencyKey]);
      await Deno.writeTextFile(`${this.path}/${idempotencyKey}`, entry, { createNew: true });
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.AlreadyExists) return false;
      throw error;
    }
  }

  /** All charges: auction, amount, who asked for it, and its key. */
  async entries(): Promise<[auctionId: string, amount: string, pid: number, idempotencyKey: string][]> {
    // The keys are ids of events, which sort by their time.
    const names = (await Array.fromAsync(Deno.readDir(this.path), ({ name }) => name)).sort();
    return await Promise.all(names.map(async (name) => JSON.parse(await Deno.readTextFile(`${this.path}/${name}`))));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}
