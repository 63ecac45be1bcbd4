/**
 * The packages that the broker is compared with, and their versions. They are imported by a computed name when a case needs
 * them, so that checking, testing or publishing the project does not download them.
 */
export const PACKAGES = {
  "bullmq": "6.7.0",
  "moleculer": "0.14.35",
  "@moleculer/channels": "0.1.8",
  "mitt": "3.0.1",
} as const;

/** Imports a package. */
// deno-lint-ignore no-explicit-any
export async function load(name: keyof typeof PACKAGES): Promise<any> {
  // One package uses a deprecated module of Node, which would print a warning.
  (process as { noDeprecation?: boolean }).noDeprecation = true;
  const specifier = `npm:${name}@${PACKAGES[name]}`;
  return await import(specifier);
}
