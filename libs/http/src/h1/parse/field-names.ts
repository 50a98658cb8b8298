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

const LOWER: ReadonlyMap<string, string> = makeLower();

const NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;

/** ASCII lower case; names are tokens. */
export function lowerName(name: string): string {
  return LOWER.get(name) ?? name.toLowerCase();
}

/** A token in lower case. */
export function isFieldName(name: string): boolean {
  return LOWER.get(name) === name || NAME.test(name);
}

function makeLower(): ReadonlyMap<string, string> {
  const map = new Map<string, string>();
  for (const name of COMMON.split(/\s+/)) {
    const lower = name.toLowerCase();
    map.set(name, lower);
    map.set(lower, lower);
  }
  return map;
}
