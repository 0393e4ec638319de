/** Media types of bodies that the PDK reads and writes. */
export const FORM = "application/x-www-form-urlencoded";
export const JSON_TYPE = "application/json";
export const MULTIPART = "multipart/form-data";

export type BodyType = typeof FORM | typeof JSON_TYPE | typeof MULTIPART;

const TYPES: readonly BodyType[] = [FORM, JSON_TYPE, MULTIPART];

/** A media type in lower case without its parameters. */
export function essence(mediaType: string): string {
  const [type = ""] = mediaType.split(";", 1);
  return type.trim().toLowerCase();
}

/** The kind of body to read: application/json-patch+json counts as JSON, as in Kong. null: it cannot be read. */
export function readableType(mediaType: string): BodyType | null {
  const type = essence(mediaType);
  return TYPES.find((known) => type.startsWith(known)) ?? null;
}

/** The kind of body to write; null: it cannot be written. */
export function writableType(mediaType: string): BodyType | null {
  const type = essence(mediaType);
  return TYPES.find((known) => type === known) ?? null;
}

const PARAMETER = /;[ \t]*(?:([!#$%&'*+\-.^_`|~\w]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^;]*)))?/gsy;

/** One parameter of a header value such as Content-Type, unquoted; null when it is missing. RFC 9110 section 5.6.6. */
export function parameter(value: string, name: string): string | null {
  const at = value.indexOf(";");
  if (at < 0) return null;
  PARAMETER.lastIndex = at;
  for (;;) {
    const from = PARAMETER.lastIndex;
    const found = PARAMETER.exec(value);
    if (found === null) {
      // Something that is no parameter: go on behind the next semicolon.
      const next = value.indexOf(";", from + 1);
      if (next < 0) return null;
      PARAMETER.lastIndex = next;
      continue;
    }
    const [, key, quoted, token] = found;
    if (key?.toLowerCase() === name) return quoted?.replace(/\\(["\\])/g, "$1") ?? (token as string).trim();
  }
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** The boundary of multipart bodies that a media type names; null when there is none. */
export function boundaryOf(mediaType: string | null): string | null {
  return mediaType === null ? null : parameter(mediaType, "boundary") || null;
}

/** The media type of a multipart body; RFC 2046 section 5.1.1. */
export function multipartType(boundary: string): string {
  const value = TOKEN.test(boundary) ? boundary : `"${boundary.replace(/["\\]/g, "\\$&")}"`;
  return `${MULTIPART}; boundary=${value}`;
}
