import { join } from "node:path";

/** The contents of all files in a folder and its subfolders. */
export async function bytesIn(folder: string): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = join(folder, name);
    if (isDirectory) all.push(...await bytesIn(path));
    else all.push(await Deno.readFile(path));
  }
  return all;
}

/** Whether a file contains the bytes, or the text as UTF-8. */
export function holds(files: readonly Uint8Array[], wanted: Uint8Array | string): boolean {
  const bytes = typeof wanted === "string" ? new TextEncoder().encode(wanted) : wanted;
  const needle = latin1(bytes);
  return files.some((file) => latin1(file).includes(needle));
}

function latin1(bytes: Uint8Array): string {
  return new TextDecoder("latin1").decode(bytes);
}
