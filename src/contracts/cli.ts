/**
 * A command that writes the catalogue of a module's event classes, checks whether a written catalogue is up to date, and
 * compares two catalogues.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { basename, dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { reasonOf } from "../events/_check.ts";
import { findDefinition } from "../events/_definition.ts";
import type { EventClass } from "../events/mod.ts";
import { isObject } from "./_schema.ts";
import { asyncApi, type AsyncApiOptions } from "./async_api.ts";
import { type Catalogue, catalogue } from "./catalogue.ts";
import { compare, type Finding } from "./compare.ts";

const USAGE = `Usage:
  contracts write MODULE [--out=contracts] [--name=NAME] [--prefix=events]
  contracts check MODULE [--out=contracts] [--name=NAME] [--prefix=events]
  contracts compare OLD NEW [--json] [--allow-unknown]
  contracts compare --against=OLD NEW
OLD and NEW are written catalogues (.json) or modules. Exit code: 0 if nothing breaks, 1 if something breaks, 2 for
wrong usage.`;

class UsageError extends Error {}

/**
 * Runs the command.
 *
 * @param args Its arguments.
 * @param print Prints a line.
 * @returns The exit code. 0: nothing breaks. 1: something breaks, cannot be decided, or is out of date. 2: wrong usage, or a file
 * cannot be read.
 */
export async function contracts(args: readonly string[], print: (line: string) => void): Promise<0 | 1 | 2> {
  try {
    const flags = parseArgs([...args], {
      string: ["out", "name", "prefix", "against"],
      boolean: ["json", "allow-unknown"],
      default: { out: "contracts", prefix: "events" },
      unknown: (arg, key) => {
        if (key !== undefined) throw new UsageError(`unknown option ${arg}`);
      },
    });
    const [command, ...files] = flags._.map(String);
    if (command === "compare") {
      const [old, next] = flags.against === undefined ? files : [flags.against, ...files];
      if (old === undefined || next === undefined) throw new UsageError("give an old and a new catalogue");
      return report(compare(await load(old), await load(next)), flags, print);
    }
    if (command !== "write" && command !== "check") throw new UsageError("the command must be write, check or compare");
    if (files.length !== 1) throw new UsageError("give one module");
    const written = await documents(files[0]!, flags);
    return command === "write" ? await write(written, print) : await check(written, files[0]!, print);
  } catch (error) {
    print(reasonOf(error));
    if (error instanceof UsageError) print(USAGE);
    return 2;
  }
}

interface Names {
  readonly out: string;
  readonly name?: string | undefined;
  readonly prefix: string;
}

/** The files of a module's catalogue, by path. */
async function documents(module: string, { out, name, prefix }: Names): Promise<Map<string, string>> {
  const made = await load(module, name);
  const text = (value: unknown): string => JSON.stringify(value, undefined, 2) + "\n";
  return new Map([
    [join(out, `${made.title}.schema.json`), text(made)],
    [join(out, `${made.title}.asyncapi.json`), text(asyncApi(made, { prefix, streams: await streamsOf(module) }))],
  ]);
}

async function write(files: ReadonlyMap<string, string>, print: (line: string) => void): Promise<0> {
  for (const [path, text] of files) {
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.writeTextFile(path, text);
    print(`wrote ${path}`);
  }
  return 0;
}

async function check(
  files: ReadonlyMap<string, string>,
  module: string,
  print: (line: string) => void,
): Promise<0 | 1> {
  let code: 0 | 1 = 0;
  for (const [path, text] of files) {
    const existing = await Deno.readTextFile(path).catch((error) => {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    });
    // Compare JSON values, because a formatter may have changed the file.
    const same = existing !== undefined && JSON.stringify(JSON.parse(existing)) === JSON.stringify(JSON.parse(text));
    print(same ? `${path} is up to date` : `${path} differs from ${module}: compare them, then run write again`);
    if (!same) code = 1;
  }
  return code;
}

function report(
  findings: readonly Finding[],
  flags: { readonly json: boolean; readonly "allow-unknown": boolean },
  print: (line: string) => void,
): 0 | 1 {
  if (flags.json) print(JSON.stringify(findings, undefined, 2));
  else {
    for (const { type, side, verdict, path, message } of findings) {
      const label = { breaks: "BREAKS ", unknown: "UNKNOWN", note: "note   ", safe: "safe   " }[verdict];
      print(`${label} ${type}, ${side}: ${path === undefined ? "" : `${path}: `}${message}`);
    }
  }
  const fails = ({ verdict }: Finding): boolean =>
    verdict === "breaks" || verdict === "unknown" && !flags["allow-unknown"];
  return findings.some(fails) ? 1 : 0;
}

/** Reads a catalogue from a .json file, or makes it from the classes of a module. */
async function load(path: string, name = nameOf(path)): Promise<Catalogue> {
  if (!path.endsWith(".json")) {
    const module: Record<string, unknown> = await import(pathToFileURL(resolve(path)).href);
    const exported = Object.values(module).flatMap((value) => Array.isArray(value) ? value as unknown[] : [value]);
    const classes = exported.filter((value) => findDefinition(value) !== undefined) as EventClass[];
    if (classes.length === 0) {
      throw new Error(`Cannot catalogue ${path}: it exports no event class; export classes made by defineEvent`);
    }
    return await catalogue(name, classes);
  }
  const read: unknown = await readJson(path);
  if (isCatalogue(read)) return read;
  throw new Error(`Cannot read ${path}: it is not a catalogue; give a .schema.json file that "contracts write" wrote`);
}

/** The partitions of the streams: those of the module's export `streams`, if it has one. */
async function streamsOf(path: string): Promise<NonNullable<AsyncApiOptions["streams"]>> {
  if (path.endsWith(".json")) return {};
  const { streams = {} } = await import(pathToFileURL(resolve(path)).href);
  if (isObject(streams)) return streams as NonNullable<AsyncApiOptions["streams"]>;
  throw new Error(
    `Cannot catalogue ${path}: its export "streams" is no object; export the option streams of the brokers, such as ` +
      `{ Auction: { partitions: 8 } }`,
  );
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await Deno.readTextFile(path));
  } catch (error) {
    const why = error instanceof Deno.errors.NotFound ? "there is no such file" : reasonOf(error);
    throw new Error(`Cannot read ${path}: ${why}; give a .schema.json file that "contracts write" wrote`, {
      cause: error,
    });
  }
}

function isCatalogue(read: unknown): read is Catalogue {
  if (!isObject(read) || !isObject(read.$defs)) return false;
  return Object.values(read.$defs).every((each) => isObject(each) && typeof each["x-type"] === "string");
}

/** The name of a module's file, or of its directory if the file is called mod, index or events. */
function nameOf(path: string): string {
  const name = basename(path).replace(/\.\w+$/, "");
  return /^(mod|index|events)$/.test(name) ? basename(dirname(resolve(path))) : name;
}

if (import.meta.main) Deno.exit(await contracts(Deno.args, console.log));
