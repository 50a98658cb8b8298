/** Names of fields in lower case, without making a new string for those that everybody sends. */

const COMMON = `Accept Accept-Charset Accept-Encoding Accept-Language Accept-Ranges Access-Control-Allow-Credentials
Access-Control-Allow-Headers Access-Control-Allow-Methods Access-Control-Allow-Origin Access-Control-Expose-Headers
Access-Control-Max-Age Access-Control-Request-Headers Access-Control-Request-Method Age Allow Alt-Svc Authorization
Baggage Cache-Control Connection Content-Disposition Content-Encoding Content-Language Content-Length Content-Location
Content-Range Content-Security-Policy Content-Type Cookie Date DNT ETag Expect Expires Forwarded From Grpc-Accept-Encoding
Grpc-Encoding Grpc-Message Grpc-Status Grpc-Timeout Host Idempotency-Key If-Match If-Modified-Since If-None-Match If-Range
If-Unmodified-Since Keep-Alive Last-Modified Link Location Origin Pragma Priority Proxy-Authenticate Proxy-Authorization
Proxy-Connection Range Referer Referrer-Policy Retry-After Sec-CH-UA Sec-CH-UA-Mobile Sec-CH-UA-Platform Sec-Fetch-Dest
Sec-Fetch-Mode Sec-Fetch-Site Sec-Fetch-User Sec-WebSocket-Accept Sec-WebSocket-Extensions Sec-WebSocket-Key
Sec-WebSocket-Protocol Sec-WebSocket-Version Server Server-Timing Set-Cookie Strict-Transport-Security TE Traceparent
Tracestate Trailer Transfer-Encoding Upgrade Upgrade-Insecure-Requests User-Agent Vary Via WWW-Authenticate
X-B3-ParentSpanId X-B3-Sampled X-B3-SpanId X-B3-TraceId X-Content-Type-Options X-Envoy-Attempt-Count
X-Envoy-Upstream-Service-Time X-Forwarded-Client-Cert X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto X-Frame-Options
X-Powered-By X-Real-IP X-Request-ID X-Requested-With X-XSS-Protection`;

/** Those that everybody sends, in lower case. */
export const COMMON_NAMES: ReadonlySet<string> = new Set(COMMON.toLowerCase().split(/\s+/));
const NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;

const SLOTS = 512;
/** Names by length, first and last letter; those that share a slot, one after another. */
const TABLE: readonly (readonly string[])[] = makeTable();

/** The token `text[from..to)` in ASCII lower case. */
export function lowerName(text: string, from: number, to: number): string {
  const length = to - from;
  const first = fold(text.charCodeAt(from));
  const slot = TABLE[slotOf(length, first, fold(text.charCodeAt(to - 1)))];
  if (slot !== undefined) {
    for (const name of slot) {
      if (name.length === length && isSame(text, from, name)) {
        return name;
      }
    }
  }
  return text.slice(from, to).toLowerCase();
}

/** A name in lower case. */
export function lower(name: string): string {
  return COMMON_NAMES.has(name) ? name : name.toLowerCase();
}

/** A token in lower case. */
export function isFieldName(name: string): boolean {
  return COMMON_NAMES.has(name) || NAME.test(name);
}

function isSame(text: string, from: number, name: string): boolean {
  for (let index = 0; index < name.length; index += 1) {
    if (fold(text.charCodeAt(from + index)) !== name.charCodeAt(index)) {
      return false;
    }
  }
  return true;
}

/** ASCII capitals to small letters. */
function fold(char: number): number {
  return char >= 0x41 && char <= 0x5a ? char | 0x20 : char;
}

function slotOf(length: number, first: number, last: number): number {
  return (length * 37 + first * 5 + last * 11) % SLOTS;
}

function makeTable(): readonly (readonly string[])[] {
  const table: string[][] = Array.from({ length: SLOTS }, () => []);
  for (const name of COMMON_NAMES) {
    const slot = slotOf(name.length, name.charCodeAt(0), name.charCodeAt(name.length - 1));
    table[slot]?.push(name);
  }
  return table;
}
