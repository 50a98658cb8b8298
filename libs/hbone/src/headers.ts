/** The other headers of a CONNECT: `forwarded` and `traceparent`. */
import { randomFillSync } from 'node:crypto';

import { formatAddress } from '@ambit/proxy';

/** `for="10.0.0.1:4000";host=reviews.shop.svc.cluster.local` */
export function formatForwarded(options: {
  readonly address: string;
  readonly port: number;
  readonly host?: string;
}): string {
  const by = `for="${formatAddress(options.address, options.port)}"`;
  return options.host === undefined ? by : `${by};host=${options.host}`;
}

const HOST_LENGTH_MAX = 253;

/**
 * Only `host=` is read, to name a service in telemetry; `for=` is never believed (the source address is
 * the TCP peer's). Undefined when absent or not a hostname.
 */
export function forwardedHost(header: string | undefined): string | undefined {
  if (header === undefined || header.length > 1024) {
    return undefined;
  }
  for (const part of header.split(';')) {
    const match = /^\s*host="?([0-9A-Za-z._-]+)"?\s*$/i.exec(part);
    const host = match?.[1];
    if (host !== undefined && host.length <= HOST_LENGTH_MAX) {
      return host.toLowerCase();
    }
  }
  return undefined;
}

const TRACE_BYTES = 16;
const PARENT_BYTES = 8;
/** Asking for few bytes costs as much as for many. */
const random = Buffer.alloc(128 * (TRACE_BYTES + PARENT_BYTES));
let randomAt = random.length;

/** A fresh one, not sampled: `00-<32 hex>-<16 hex>-00`. */
export function newTraceparent(): string {
  if (randomAt === random.length) {
    randomFillSync(random);
    randomAt = 0;
  }
  const parentAt = randomAt + TRACE_BYTES;
  const trace = random.toString('hex', randomAt, parentAt);
  randomAt = parentAt + PARENT_BYTES;
  return `00-${trace}-${random.toString('hex', parentAt, randomAt)}-00`;
}

export interface Traceparent {
  readonly traceId: string;
  readonly parentId: string;
  readonly isSampled: boolean;
}

/** Undefined unless it is exactly version 00 with ids that are not all zero. */
export function parseTraceparent(header: string | undefined): Traceparent | undefined {
  const match = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(header ?? '');
  const [, traceId = '', parentId = '', flags = ''] = match ?? [];
  if (match === null || /^0+$/.test(traceId) || /^0+$/.test(parentId)) {
    return undefined;
  }
  return { traceId, parentId, isSampled: (Number.parseInt(flags, 16) & 1) === 1 };
}
