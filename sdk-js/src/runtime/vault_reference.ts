import type { Reference } from "../values.js";
import { quote } from "./headers.js";
import { decodeQuery, queryArgs } from "./target.js";

const OPEN = "{vault://";

/** A text that is no reference to a secret; the message says why. */
export class BadReference extends Error {}

/** Whether a text begins and ends like a reference to a secret. */
export function isReference(text: string): boolean {
  return text.startsWith(OPEN) && text.endsWith("}") && text.length > OPEN.length + 1;
}

/** Takes `{vault://name/resource/key?option=value#version}` apart. @throws BadReference */
export function parseReference(text: string): Reference {
  const fail = (expected: string): never => {
    throw new BadReference(`${quote(text)} is no reference; expected ${expected}`);
  };
  if (!isReference(text)) return fail("{vault://name/resource}");
  const [, name = "", path = "", , query = "", fragment] =
    /^([^/?#]*)\/?([^?#]*)(\?([^#]*))?(?:#(.*))?$/s.exec(text.slice(OPEN.length, -1)) ?? [];
  if (!/^[a-z][a-z0-9-]*$/.test(name)) return fail("the name of a vault: lower-case letters, digits and -");
  const { resource, key } = splitPath(path);
  if (resource === "") return fail("a resource behind the name of the vault");
  if (fragment !== undefined && !/^\d{1,15}$/.test(fragment)) return fail("digits as the version behind #");
  const config: Record<string, string> = Object.create(null);
  for (const [option, value] of queryArgs(query)) config[option] = value === true ? "" : value;
  return { name, resource, key, config, version: Number(fragment ?? 0) };
}

/** The last of several segments is the key. */
function splitPath(path: string): { resource: string; key: string } {
  const slash = path.lastIndexOf("/");
  if (slash < 0) return { resource: decodeSegment(path), key: "" };
  return { resource: decodeSegment(path.slice(0, slash)), key: decodeSegment(path.slice(slash + 1)) };
}

/** Decodes triplets; a + stays. */
function decodeSegment(text: string): string {
  return decodeQuery(text.replaceAll("+", "%2B"));
}
