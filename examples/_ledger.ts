/** The ledger of a card company: a directory with one file for each charge, named by its idempotency key. */
export class Ledger implements AsyncDisposable {
  /** The directory. */
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Makes an empty ledger inside a directory. Disposing of the ledger deletes it. */
  static async open(directory: string): Promise<Ledger> {
    await Deno.mkdir(directory, { recursive: true });
    return new Ledger(await Deno.makeTempDir({ dir: directory, prefix: "ledger-" }));
  }

  /**
   * Enters a charge, unless the ledger has one with that key. This is atomic: only one of several processes enters it.
   *
   * @returns Whether the charge is new.
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

  /** All charges: auction, amount, process id and key. */
  async entries(): Promise<[auctionId: string, amount: string, pid: number, idempotencyKey: string][]> {
    // The keys are event ids, which sort by time.
    const names = (await Array.fromAsync(Deno.readDir(this.path), ({ name }) => name)).sort();
    return await Promise.all(names.map(async (name) => JSON.parse(await Deno.readTextFile(`${this.path}/${name}`))));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}
