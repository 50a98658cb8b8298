/** The answer to a client whose request cannot be read: a status, its reason, and the end of the connection. */
import { encodeResponseHead } from '../encode/head.ts';
import { reasonOf } from '../encode/reasons.ts';
import type { Outgoing } from './outgoing.ts';

export function writeRefusal(outgoing: Outgoing, status: number): void {
  const text = Buffer.from(reasonOf(status), 'latin1');
  const body = { kind: 'length', bytes: text.length } as const;
  const fields = ['content-type', 'text/plain'];
  outgoing.begin(encodeResponseHead({ status, fields, body, close: true }), body);
  outgoing.data(text);
  outgoing.end([]);
}
