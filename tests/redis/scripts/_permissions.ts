import type { Script } from "../../../src/redis/connection/_script.ts";
import { ADOPT } from "../../../src/redis/scripts/consuming/adopt.ts";
import { ALTER_GROUP } from "../../../src/redis/scripts/operating/alter_group.ts";
import { ANNOUNCE } from "../../../src/redis/scripts/consuming/announce.ts";
import { APPEND } from "../../../src/redis/scripts/entries/append.ts";
import { APPEND_REVISED } from "../../../src/redis/scripts/entries/append_revised.ts";
import { CLAIM, CLAIM_HOLDING } from "../../../src/redis/scripts/consuming/claim.ts";
import { CLAIM_EXCLUSIVE, CLAIM_EXCLUSIVE_HOLDING } from "../../../src/redis/scripts/consuming/claim_exclusive.ts";
import { CONFIRM_READ } from "../../../src/redis/scripts/consuming/confirm_read.ts";
import { DISCARD } from "../../../src/redis/scripts/operating/discard.ts";
import { HEAL } from "../../../src/redis/scripts/consuming/heal.ts";
import { FENCE } from "../../../src/redis/scripts/operating/fence.ts";
import { FORCE_TRIM } from "../../../src/redis/scripts/operating/force_trim.ts";
import { GROUP_INFO } from "../../../src/redis/scripts/operating/info.ts";
import { JOIN } from "../../../src/redis/scripts/consuming/join.ts";
import { KEEP } from "../../../src/redis/scripts/consuming/keep.ts";
import { LEAVE } from "../../../src/redis/scripts/consuming/leave.ts";
import { READ_STATE } from "../../../src/redis/scripts/operating/read_state.ts";
import { READ_SUBJECT } from "../../../src/redis/scripts/entries/read_subject.ts";
import { READ_CONTROL } from "../../../src/redis/scripts/consuming/read_control.ts";
import { REDRIVE } from "../../../src/redis/scripts/operating/redrive.ts";
import { REMOVE_GROUP } from "../../../src/redis/scripts/operating/remove_group.ts";
import { RENEW } from "../../../src/redis/scripts/consuming/renew.ts";
import { REWIND } from "../../../src/redis/scripts/operating/rewind.ts";
import { SETTLE, SETTLE_HOLDING } from "../../../src/redis/scripts/consuming/settle.ts";
import { RESERVE } from "../../../src/redis/scripts/operating/reserve.ts";
import { TRIM } from "../../../src/redis/scripts/operating/trim.ts";
import { WRITE_CONTROL } from "../../../src/redis/scripts/operating/write_control.ts";
import { ADD } from "../../../src/redis/scripts/scheduling/add.ts";
import { CHANGE } from "../../../src/redis/scripts/scheduling/change.ts";
import { LIST, STATE } from "../../../src/redis/scripts/scheduling/list.ts";
import { PROMOTE } from "../../../src/redis/scripts/scheduling/promote.ts";
import { TAKE, TAKEN } from "../../../src/redis/scripts/scheduling/take.ts";
import { WRITE_STATE } from "../../../src/redis/scripts/operating/write_state.ts";
import { readPage, words } from "../../docs/_markdown.ts";

/** A role of a user. */
interface Role {
  readonly scripts: readonly Script[];
  /** Commands besides the scripts, such as `xinfo|stream`. */
  readonly commands: readonly string[];
}

const CONNECTING = ["ping", "info"];
const WRITING = [...CONNECTING, "eval", "evalsha"];
const READING = ["eval_ro", "evalsha_ro", "xinfo|groups", "xinfo|stream", "memory|usage", "xrange", "xrevrange"];
const READING_STATE = ["eval_ro", "evalsha_ro"];
const WAITING = ["client|id", "client|unblock"];
// Whether a stream was used before it gets partitions.
const LOOKING = ["xinfo|groups", "xinfo|stream"];

export const ROLES = {
  publisher: {
    scripts: [APPEND, APPEND_REVISED, READ_STATE, WRITE_STATE, ADD, PROMOTE, STATE, LIST, CHANGE, TAKE, TAKEN],
    commands: [...WRITING, ...READING_STATE, ...LOOKING],
  },
  consumer: {
    scripts: [
      JOIN,
      ANNOUNCE,
      CLAIM,
      CLAIM_HOLDING,
      CLAIM_EXCLUSIVE,
      CLAIM_EXCLUSIVE_HOLDING,
      CONFIRM_READ,
      ADOPT,
      RENEW,
      SETTLE,
      SETTLE_HOLDING,
      KEEP,
      LEAVE,
      HEAL,
      GROUP_INFO,
      READ_STATE,
      WRITE_STATE,
      READ_CONTROL,
      WRITE_CONTROL,
      STATE,
      RESERVE,
    ],
    commands: [
      ...WRITING,
      ...READING_STATE,
      ...WAITING,
      ...LOOKING,
      "xreadgroup",
      "xread",
      "hmget",
      "hkeys",
      "xpending",
    ],
  },
  observer: {
    scripts: [GROUP_INFO, READ_STATE, READ_SUBJECT, STATE, LIST],
    commands: [...CONNECTING, ...READING, ...WAITING, "xread", "hmget"],
  },
  operator: {
    scripts: [
      GROUP_INFO,
      REDRIVE,
      DISCARD,
      REWIND,
      ALTER_GROUP,
      REMOVE_GROUP,
      TRIM,
      FORCE_TRIM,
      READ_STATE,
      WRITE_STATE,
      READ_CONTROL,
      WRITE_CONTROL,
      FENCE,
      READ_SUBJECT,
      STATE,
      LIST,
      CHANGE,
      TAKE,
      TAKEN,
    ],
    commands: [...WRITING, ...READING, "client|unblock", "xdel", "time"],
  },
} as const satisfies Readonly<Record<string, Role>>;

/** Commands of publishers and consumers with a retention, besides those of their role. */
export const TRIMMING: Role = { scripts: [TRIM], commands: ["time"] };

/** Commands of operators that change the number of partitions, besides those of their role. */
export const REPARTITIONING: Role = { scripts: [JOIN, LEAVE], commands: [] };

/** Commands of processes with metrics, besides those of their role. */
export const MEASURING: Role = {
  scripts: [GROUP_INFO, READ_STATE, STATE],
  commands: ["eval_ro", "evalsha_ro", "xinfo|groups", "xinfo|stream", "memory|usage"],
};

/** The commands that a role needs, including those of its scripts. */
export function neededBy({ scripts, commands }: Role): Set<string> {
  return new Set([...commands, ...scripts.flatMap(({ source }) => [...commandsIn(source)])]);
}

/** The commands in a script. Those of a function count only if it is called. */
function commandsIn(source: string): Set<string> {
  const functions = new Map<string, string>();
  const body = source.replaceAll(/^local function (\w+)(\(.* end$|\([\s\S]*?^end$)/gm, (_, name, text) => {
    functions.set(name, text);
    return "";
  });
  const commands = new Set<string>();
  const texts = [body];
  for (let text; (text = texts.pop()) !== undefined;) {
    for (const [, name, sub] of text.matchAll(/(?:redis\.p?call\(|= \{)'([A-Z]+)'(?:, '([A-Z]+)')?/g)) {
      const hasSub = sub !== undefined && ["XGROUP", "XINFO", "MEMORY"].includes(name!);
      commands.add((hasSub ? `${name}|${sub}` : name!).toLowerCase());
    }
    for (const [name, called] of functions) {
      if (!new RegExp(`\\b${name}\\(`).test(text)) continue;
      functions.delete(name);
      texts.push(called);
    }
  }
  return commands;
}

/** The rules of a user in docs/README_REDIS.md: the arguments of ACL SETUSER after the name. */
export function rulesOf(user: string): string[] {
  const line = readPage("docs/README_REDIS.md").split("\n").find((line) => line.includes(` ACL SETUSER ${user} `));
  if (line === undefined) throw new Error(`docs/README_REDIS.md has no rules for ${user}`);
  return words(line).slice(4);
}

/** The commands that rules allow, including those of selectors. */
export function allowedBy(rules: readonly string[]): Set<string> {
  return new Set(rules.join(" ").match(/(?<=[ (]\+|^\+)[^ )]+/g));
}
