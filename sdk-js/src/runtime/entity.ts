import { describe } from "../plugin.js";
import { BadFrame, decodeValue } from "./msgpack_read.js";

/** A route, service, consumer or credential as it travelled: decoded once, when a handler first asks for it, and then shared. */
export class Entity {
  readonly #document: Uint8Array;
  #value: object | undefined;

  /** The bytes are kept. */
  constructor(document: Uint8Array) {
    this.#document = document;
  }

  /** The document, frozen. @throws BadFrame when it is no map. */
  value(): object {
    this.#value ??= frozenDocument(decodeValue(this.#document));
    return this.#value;
  }
}

/** A decoded document, deeply frozen. */
function frozenDocument(value: unknown): object {
  if (typeof value !== "object" || value === null || Array.isArray(value) || value instanceof Uint8Array) {
    throw new BadFrame(`expected the document of an entity, found ${describe(value)}`);
  }
  return deepFreeze(value);
}

function deepFreeze<T extends object>(value: T): T {
  for (const item of Object.values(value)) {
    if (typeof item === "object" && item !== null && !(item instanceof Uint8Array)) deepFreeze(item);
  }
  return Object.freeze(value);
}
