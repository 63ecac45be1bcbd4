import type {
  DeadLetterBox,
  DeadReason,
  DiscardOptions,
  ErrorRecord,
  Fields,
  LetterRecord,
  Position,
} from "../../store/mod.ts";
import { isPosition } from "../../store/mod.ts";
import { groupKeys, holdingKeyList } from "../_keys.ts";
import { parsePairs, serverTime } from "../connection/_replies.ts";
import type { Route } from "../connection/_topology.ts";
import type { Reply } from "../connection/client.ts";
import type { Waker } from "../consuming/_waker.ts";
import { DISCARD } from "../scripts/operating/discard.ts";
import { REDRIVE } from "../scripts/operating/redrive.ts";

const PAGE = 500;
// Redriving a letter takes the server ten times as long as reading it.
const REDRIVE_AT_ONCE = 100;
// Length of a letter's own fields, names and values: `position`, `reason`, `attempts`, `consumer`, `firstfailedat`,
// `lastfailedat`, `deliveries`, `error`. The fields of the event follow.
const LETTER_FIELDS = 16;

/** A stream, and how to reach it. */
export interface LetterContext {
  readonly link: Route;
  readonly stream: string;
  readonly waker: Waker;
}

/** The dead letters of one group in Redis. */
export class RedisLetterBox implements DeadLetterBox {
  #context: LetterContext;
  #group: string;

  constructor(context: LetterContext, group: string) {
    this.#context = context;
    this.#group = group;
  }

  async *list({ signal }: { readonly signal?: AbortSignal } = {}): AsyncGenerator<readonly LetterRecord[]> {
    const { link, stream } = this.#context;
    const { dead } = groupKeys(stream, this.#group);
    signal?.throwIfAborted();
    // The last letter of this moment: letters that are added during the iteration do not make it endless.
    const [last] = await link.send(["XREVRANGE", dead, "+", "-", "COUNT", "1"]) as readonly [string, string[]][];
    if (last === undefined) return;
    for (let from = "-";;) {
      signal?.throwIfAborted();
      const range = ["XRANGE", dead, from, last[0], "COUNT", String(PAGE)];
      const page = await link.send(range) as readonly [string, string[]][];
      if (page.length > 0) yield page.map(([id, fields]) => toLetter(id, fields));
      if (page.length < PAGE) return;
      from = `(${page.at(-1)![0]}`;
    }
  }

  async redrive(ids?: readonly string[]): Promise<number> {
    const { link, stream } = this.#context;
    const keys = holdingKeyList(groupKeys(stream, this.#group));
    let count = 0;
    for await (const page of ids === undefined ? this.#allIds() : [ids.filter(isPosition)]) {
      for (let at = 0; at < page.length; at += REDRIVE_AT_ONCE) {
        const part = page.slice(at, at + REDRIVE_AT_ONCE);
        const args = [this.#group, "", "", String(LETTER_FIELDS), ...part];
        const [moved, connections] = await REDRIVE.run(link, keys, args) as readonly [number, Reply];
        this.#context.waker.wake(connections);
        count += moved;
      }
    }
    return count;
  }

  async *#allIds(): AsyncGenerator<readonly string[]> {
    for await (const page of this.list()) yield page.map(({ id }) => id);
  }

  async discard(
    { ids, maxAge = Infinity, maxLength = Infinity }: DiscardOptions = {},
  ): Promise<number> {
    const { link, stream } = this.#context;
    const { dead } = groupKeys(stream, this.#group);
    const selected = ids === undefined ? undefined : new Set(ids);
    const isSelected = ({ id }: LetterRecord) => selected === undefined || selected.has(id);
    const bounded = maxAge !== Infinity || maxLength !== Infinity;
    const oldest = maxAge === Infinity ? -Infinity : await serverTime(link) - maxAge;
    // The oldest letters beyond `maxLength` go, and come first in the list.
    let surplus = maxLength === Infinity ? 0 : await this.#count(isSelected) - maxLength;
    let removed = 0;
    for await (const page of this.list()) {
      const discarded = page.filter(isSelected).filter(({ lastFailedAt }) =>
        !bounded || surplus-- > 0 || lastFailedAt < oldest
      );
      const [holding, plain] = [discarded.filter(hasKey), discarded.filter((letter) => !hasKey(letter))];
      if (holding.length > 0) removed += await this.#discardKeyed(holding);
      if (plain.length > 0) removed += Number(await link.send(["XDEL", dead, ...plain.map(({ id }) => id)]));
    }
    return removed;
  }

  /** Discards letters that may hold their keys. */
  async #discardKeyed(letters: readonly KeyedLetter[]): Promise<number> {
    const { link, stream, waker } = this.#context;
    const keys = holdingKeyList(groupKeys(stream, this.#group));
    const args = letters.flatMap(({ id, position, key }) => [id, position, key]);
    const [removed, connections] = await DISCARD.run(link, keys, [this.#group, "", "", ...args]) as readonly [
      number,
      Reply,
    ];
    waker.wake(connections);
    return removed;
  }

  async #count(isSelected: (letter: LetterRecord) => boolean): Promise<number> {
    let count = 0;
    for await (const page of this.list()) count += page.filter(isSelected).length;
    return count;
  }
}

type KeyedLetter = LetterRecord & { readonly key: string };

function hasKey(letter: LetterRecord): letter is KeyedLetter {
  return letter.key !== undefined;
}

function toLetter(id: string, all: readonly string[]): LetterRecord {
  // The key of a letter that has one comes first.
  const own = all[0] === "key" ? LETTER_FIELDS + 2 : LETTER_FIELDS;
  const facts = parsePairs(all.slice(0, own)) as ReadonlyMap<string, string>;
  const fields: Fields = all.slice(own);
  const key = facts.get("key");
  return {
    id,
    position: facts.get("position") as Position,
    reason: facts.get("reason") as DeadReason,
    attempts: Number(facts.get("attempts")),
    consumer: facts.get("consumer")!,
    firstFailedAt: Number(facts.get("firstfailedat")),
    lastFailedAt: Number(facts.get("lastfailedat")),
    error: JSON.parse(facts.get("error")!) as ErrorRecord,
    fields,
    ...(key !== undefined && { key }),
  };
}
