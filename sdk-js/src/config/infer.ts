/** The properties whose value is always there: the host fills in defaults before a configuration comes to the plugin. */
type Present<S> = S extends { readonly properties: infer P }
  ? {
      [K in keyof P]: P[K] extends { readonly default: unknown }
        ? K
        : S extends { readonly required: readonly (infer R)[] }
          ? K extends R
            ? K
            : never
          : never;
    }[keyof P]
  : never;

type ObjectOf<S extends { readonly properties: unknown }> = {
  readonly [K in Extract<keyof S["properties"], Present<S>>]: ConfigOf<S["properties"][K]>;
} & {
  readonly [K in Exclude<keyof S["properties"], Present<S>>]?: ConfigOf<S["properties"][K]>;
};

/** The values of one `type`. */
type TypeOf<T, S> = T extends "string"
  ? string
  : T extends "number" | "integer"
    ? number
    : T extends "boolean"
      ? boolean
      : T extends "null"
        ? null
        : T extends "array"
          ? S extends { readonly items: infer I }
            ? readonly ConfigOf<I>[]
            : readonly unknown[]
          : T extends "object"
            ? S extends { readonly properties: unknown }
              ? ObjectOf<S>
              : S extends { readonly additionalProperties: infer V }
                ? Readonly<Record<string, V extends boolean ? unknown : ConfigOf<V>>>
                : Readonly<Record<string, unknown>>
            : unknown;

/**
 * Type of the configurations that a JSON Schema describes: `type Config = ConfigOf<typeof schema>`, where schema is written
 * `as const`. It reads type, properties, required, default, items, additionalProperties, enum and const; what they do not say is
 * unknown.
 */
export type ConfigOf<S> = S extends { readonly const: infer V }
  ? V
  : S extends { readonly enum: readonly (infer V)[] }
    ? V
    : S extends { readonly type: readonly (infer T)[] }
      ? T extends unknown
        ? TypeOf<T, S>
        : never
      : S extends { readonly type: infer T }
        ? TypeOf<T, S>
        : unknown;
