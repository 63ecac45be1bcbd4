import { Ajv2020 } from "npm:ajv@^8/dist/2020.js";

/** Validates values against this JSON Schema. */
export function validator(schema: unknown): (value: unknown) => boolean {
  const ajv = new Ajv2020({ strict: false, validateFormats: false, logger: false });
  const validate = ajv.compile(schema as object);
  return (value) => validate(value) === true;
}
