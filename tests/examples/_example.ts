import { assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { brokerPermissions, filePermissions, flagValue, listenPermissions } from "../../examples/_permissions.ts";
import { inheritedImportFlags } from "../../offline/imports.ts";

/** The exit code and output of an example. */
export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** Starts an example, with permission for one directory, for the Redis of its broker, or for nothing. */
export function start(
  name: string,
  options: readonly string[],
  directory?: string,
  cwd = fileURLToPath(new URL("../../", import.meta.url)),
): Deno.ChildProcess {
  const permissions = directory === undefined ? [] : filePermissions(directory);
  const url = options.find((option) => option.startsWith("--broker=redis"))?.slice("--broker=".length);
  if (url !== undefined) permissions.push(...brokerPermissions(url));
  if (name === "observed") permissions.push(...listenPermissions("127.0.0.1", flagValue(options, "port") ?? "8000"));
  if (name === "crash" || name === "spread") permissions.push(`--allow-run=${Deno.execPath()}`);
  if (name === "neighbours") permissions.push("--allow-run=redis-cli,python3");
  const file = fileURLToPath(new URL(`../../examples/${name}.ts`, import.meta.url));
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", ...inheritedImportFlags(), ...permissions, file, ...options],
    cwd,
    // The environment of the tests may set NO_COLOR, but a pipe must get no colors without it.
    env: { NO_COLOR: "" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs an example to its end. */
export async function run(
  name: string,
  options: readonly string[],
  directory?: string,
  cwd?: string,
): Promise<Ended> {
  return await ended(start(name, options, directory, cwd));
}

/** Waits until an example ends. Asserts that its lines fit on a terminal. */
export async function ended(child: Deno.ChildProcess): Promise<Ended> {
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  const said = decoder.decode(stdout);
  assertEquals(tooLong(said), []);
  return { code, stdout: said, stderr: decoder.decode(stderr) };
}

/** The lines of more than 80 columns, except those of one long word, such as a URL. */
export function tooLong(text: string): string[] {
  return text.split("\n").filter((line) => line.length > 80 && line.trim().includes(" "));
}

/** A text without its line breaks. */
export function flat(text: string): string {
  return text.replaceAll(/\s+/g, " ");
}

/** Reads until the output contains a text. @returns The output so far. */
export async function until(reader: ReadableStreamDefaultReader<Uint8Array>, text: string): Promise<string> {
  const decoder = new TextDecoder();
  let said = "";
  while (!said.includes(text)) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`Cannot find "${text}" in the whole output:\n${said}`);
    said += decoder.decode(value, { stream: true });
  }
  return said;
}

/** Reads to the end. @returns The output from here on. */
export async function rest(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let said = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return said;
    said += decoder.decode(value, { stream: true });
  }
}
