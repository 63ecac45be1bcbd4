import type { StandardSchemaV1 } from "../events/mod.ts";
import { isObject, type Keywords } from "./_schema.ts";

/** The JSON Schemas of the values that a schema writes and accepts. Defaults and transforms make them different. */
export interface Sides {
  readonly written: Keywords;
  readonly accepted: Keywords;
}

const TARGET = "draft-2020-12";

type Converter = Record<"input" | "output", (options: { target: string }) => Record<string, unknown>>;

/**
 * Converts a schema by the Standard JSON Schema interface, or by the converter of its library.
 *
 * @throws {TypeError} If the library has no converter, or the schema has a part that JSON Schema cannot express.
 */
export async function sidesOf(schema: StandardSchemaV1): Promise<Sides> {
  const { vendor, jsonSchema } = schema["~standard"] as { vendor: string; jsonSchema?: Converter };
  const converter = jsonSchema ?? (vendor === "valibot" ? await valibotConverter(schema) : undefined);
  if (converter === undefined) {
    throw new TypeError(`${vendor} gives no JSON Schema; use a version that implements Standard JSON Schema`);
  }
  return {
    written: withoutDialect(converter.output({ target: TARGET })),
    accepted: withoutDialect(converter.input({ target: TARGET })),
  };
}

/** Valibot's converter is a package of its own, loaded only for schemas of valibot. */
async function valibotConverter(schema: StandardSchemaV1): Promise<Converter> {
  const { toJsonSchema } = await import("npm:@valibot/to-json-schema@^1.8");
  const given = schema as unknown as Parameters<typeof toJsonSchema>[0];
  return {
    input: () => toJsonSchema(given, { target: TARGET, typeMode: "input" }) as Record<string, unknown>,
    output: () =>
      toJsonSchema(given, {
        target: TARGET,
        typeMode: "output",
        // A valibot object drops unknown fields, so it never writes them, but the converter allows them.
        overrideSchema: ({ valibotSchema, jsonSchema }) =>
          valibotSchema.type === "object" ? { ...jsonSchema, additionalProperties: false } : undefined,
      }) as Record<string, unknown>,
  };
}

function withoutDialect(schema: unknown): Keywords {
  // A schema may have getters or shared parts, so reduce it to the JSON that a file would contain.
  const plain: unknown = JSON.parse(JSON.stringify(schema));
  if (!isObject(plain)) throw new TypeError(`its JSON Schema is ${JSON.stringify(plain)}, not an object`);
  const { $schema: _dialect, ...keywords } = plain;
  return keywords;
}
