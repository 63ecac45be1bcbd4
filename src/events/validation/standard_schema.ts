/**
 * The interface of Standard Schema 1, which zod, valibot, arktype and other libraries implement.
 *
 * @see {@link https://standardschema.dev}
 *
 * @typeParam Input The type of values that the schema accepts.
 * @typeParam Output The type of its output.
 */
export interface StandardSchemaV1<Input = unknown, Output = Input> {
  /** The schema's properties under the standard's name. */
  readonly "~standard": {
    /** The version of the standard. */
    readonly version: 1;
    /** The library's name. */
    readonly vendor: string;
    /** Validates a value. */
    readonly validate: (value: unknown) => StandardSchemaResult<Output> | Promise<StandardSchemaResult<Output>>;
    /** Absent at run time: the types are inferred from it. */
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

/** The result of a schema: its output, or the issues of the refused value. */
export type StandardSchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardSchemaIssue[] };

/** A reason why a schema refuses a value. */
export interface StandardSchemaIssue {
  /** The reason. */
  readonly message: string;
  /** The keys that lead to the wrong value. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** The type of values that a schema accepts. */
export type SchemaInput<Schema extends StandardSchemaV1> = NonNullable<Schema["~standard"]["types"]>["input"];

/** The type of the output of a schema. */
export type SchemaOutput<Schema extends StandardSchemaV1> = NonNullable<Schema["~standard"]["types"]>["output"];
