/** A bid as the book has it. */
export interface Entry {
  auctionId: string;
  amount: number;
  /** The process that wrote it down. */
  pid: number;
}

/** The bids in the order in which they were handled: a file to which all processes append. */
export class BidBook implements AsyncDisposable {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Begins an empty book in a directory. Disposing of the book deletes it. */
  static async open(directory: string): Promise<BidBook> {
    await Deno.mkdir(directory, { recursive: true });
    return new BidBook(await Deno.makeTempFile({ dir: directory, prefix: "bids-" }));
  }

  /** Writes a bid down. The system appends each line as a whole: so the lines of all processes have one order. */
  async add(entry: Entry): Promise<void> {
    await Deno.writeTextFile(this.path, `${JSON.stringify(entry)}\n`, { append: true });
  }

  /** All bids, in the order in which they were handled. */
  async entries(): Promise<Entry[]> {
    const text = await Deno.readTextFile(this.path);
    return text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path);
  }
}
