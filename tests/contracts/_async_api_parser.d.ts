/** What the tests use of the parser: its own types bring a DOM of theirs, which is not Deno's. */
export class Parser {
  /** Reads and validates a document. */
  parse(text: string): Promise<{ document: AsyncApiDocument | undefined; diagnostics: Diagnostic[] }>;
}

/** What is wrong with a document. */
export interface Diagnostic {
  /** 0: error, 1: warning, 2: information, 3: hint. */
  readonly severity: number;
  readonly message: string;
  readonly path: readonly (string | number)[];
}

interface AsyncApiDocument {
  allChannels(): { all(): { address(): string }[] };
  allMessages(): { all(): { correlationId(): { location(): string } | undefined }[] };
}
