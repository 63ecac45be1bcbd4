/**
 * What the broker is compared with, in these very versions. They are loaded when a case asks for them, by names that
 * nothing sees before: whoever checks, tests or publishes the project does not download them.
 */
export const PACKAGES = {
  "bullmq": "6.7.0",
  "moleculer": "0.14.35",
  "@moleculer/channels": "0.1.8",
  "mitt": "3.0.1",
} as const;

/** Loads one of them. */
// deno-lint-ignore no-explicit-any
export async function load(name: keyof typeof PACKAGES): Promise<any> {
  // One of them still uses a module of Node that is to go.
  (process as { noDeprecation?: boolean }).noDeprecation = true;
  const specifier = `npm:${name}@${PACKAGES[name]}`;
  return await import(specifier);
}
