import type { Line } from "./headers.js";
import { firstValue } from "./overlay.js";

/* Error bodies of the gateway, which response.error asks for. */

type Format = "json" | "html" | "xml" | "plain";

/** By media type or range. */
const FORMATS: Readonly<Record<string, Format>> = {
  "text/html": "html",
  "application/xhtml+xml": "html",
  "text/xml": "xml",
  "application/xml": "xml",
  "text/plain": "plain",
  "text/*": "plain",
  "application/json": "json",
  "application/*": "json",
  "*/*": "json",
};

const MESSAGES: Readonly<Record<number, string>> = {
  400: "Bad request",
  401: "Unauthorized",
  402: "Payment required",
  403: "Forbidden",
  404: "Not found",
  405: "Method not allowed",
  406: "Not acceptable",
  407: "Proxy authentication required",
  408: "Request timeout",
  409: "Conflict",
  410: "Gone",
  411: "Length required",
  412: "Precondition failed",
  413: "Payload too large",
  414: "URI too long",
  415: "Unsupported media type",
  416: "Range not satisfiable",
  417: "Expectation failed",
  418: "I'm a teapot",
  421: "Misdirected request",
  422: "Unprocessable entity",
  423: "Locked",
  424: "Failed dependency",
  425: "Too early",
  426: "Upgrade required",
  428: "Precondition required",
  429: "Too many requests",
  431: "Request header fields too large",
  451: "Unavailable for legal reasons",
  494: "Request header or cookie too large",
  500: "An unexpected error occurred",
  501: "Not implemented",
  502: "An invalid response was received from the upstream server",
  503: "The upstream server is currently unavailable",
  504: "The upstream server is timing out",
  505: "HTTP version not supported",
  506: "Variant also negotiates",
  507: "Insufficient storage",
  508: "Loop detected",
  510: "Not extended",
  511: "Network authentication required",
};

/**
 * The gateway's error body and the headers that go with it.
 *
 * @param message - null: the standard text of the status.
 * @param headers - those of the error: Content-Type among them chooses the format.
 * @param accept - what the client accepts, with qualities; null: anything.
 */
export function errorAnswer(
  status: number,
  message: string | null,
  headers: readonly Line[],
  accept: string | null,
  requestId: string,
): { body: string; headers: Line[] } {
  const explicit = firstValue(headers, "content-type");
  const format = explicit === null ? acceptedFormat(accept ?? "") : (formatOf(explicit) ?? "json");
  const text = message ?? MESSAGES[status] ?? `The upstream server responded with ${status}`;
  const { type, body } = render(format, text, requestId);
  return { body, headers: explicit === null ? [...headers, ["Content-Type", type]] : [...headers] };
}

/** The first of the formats with the highest quality; JSON when there is none. */
function acceptedFormat(accept: string): Format {
  let best: Format = "json";
  let quality = 0;
  for (const range of accept.split(",")) {
    const format = formatOf(range);
    const q = qualityOf(range);
    if (format === null || q <= quality) continue;
    best = format;
    quality = q;
  }
  return best;
}

function formatOf(mediaType: string): Format | null {
  const [type = ""] = mediaType.split(";", 1);
  return FORMATS[type.trim().toLowerCase()] ?? null;
}

function qualityOf(range: string): number {
  const [, q] = /;\s*q\s*=\s*(\d+(?:\.\d*)?|\.\d+)\s*(?:;|$)/i.exec(range) ?? [];
  return q === undefined ? 1 : Number(q);
}

function render(format: Format, message: string, requestId: string): { type: string; body: string } {
  switch (format) {
    case "html":
      return {
        type: "text/html; charset=utf-8",
        body:
          '<!doctype html>\n<html>\n  <head>\n    <meta charset="utf-8">\n    <title>Error</title>\n  </head>\n  <body>\n' +
          `    <h1>Error</h1>\n    <p>${escapeMarkup(message)}.</p>\n    <p>request_id: ${requestId}</p>\n  </body>\n</html>\n`,
      };
    case "xml":
      return {
        type: "application/xml; charset=utf-8",
        body:
          '<?xml version="1.0" encoding="UTF-8"?>\n<error>\n' +
          `  <message>${escapeMarkup(message)}</message>\n  <requestid>${requestId}</requestid>\n</error>\n`,
      };
    case "plain":
      return { type: "text/plain; charset=utf-8", body: `${message}\nrequest_id: ${requestId}\n` };
    case "json":
      return {
        type: "application/json; charset=utf-8",
        body: `{\n  "message":${JSON.stringify(message)},\n  "request_id":"${requestId}"\n}`,
      };
  }
}

const MARKUP: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

function escapeMarkup(text: string): string {
  return text.replace(/[&<>"]/g, (c) => MARKUP[c] ?? c);
}
