/** How many answers are kept beside one delivery, and how many bytes their names and texts have together. */
export const MAX_KEPT = 64;
export const MAX_KEPT_BYTES: number = 64 * 2 ** 10;

/** The answers with one more. Throws a RangeError beyond the bounds, which the script KEEP checks, too. */
export function keptWith(
  kept: Readonly<Record<string, string>> | undefined,
  name: string,
  text: string,
): Readonly<Record<string, string>> {
  const all = { ...kept, [name]: text };
  const names = Object.keys(all);
  const bytes = names.reduce((sum, name) => sum + sizeInBytes(name) + sizeInBytes(all[name]!), 0);
  if (names.length > MAX_KEPT || bytes > MAX_KEPT_BYTES) throw tooMuchKept(name);
  return all;
}

/** The error for an answer beyond the bounds. */
export function tooMuchKept(name: string): RangeError {
  return new RangeError(
    `Cannot keep the answer "${
      name.slice(0, 60)
    }" beside its delivery: a delivery has at most ${MAX_KEPT} answers of ` +
      `${MAX_KEPT_BYTES} bytes together; keep less, such as an id`,
  );
}

const encoder = new TextEncoder();

function sizeInBytes(text: string): number {
  return encoder.encode(text).length;
}
