/**
 * Header fields as policies and routes see them: what the server gets. What is taken out of the list of fields because it is said
 * elsewhere, or concerns one hop, is answered from there.
 */

/** What the head of a request says beside its fields. */
export interface JudgedHead {
  /** Host or `:authority` as sent; empty: neither was. */
  readonly authority: string;
  /** The protocols that the client asks to switch to, in lower case, where `connection` says so too. */
  readonly upgrade: string | undefined;
}

/** The one protocol that is switched to; a request for another is sent on as an ordinary one. */
const SWITCHED_TO = 'websocket';

/** `name` in lower case. `fields`: without those of the hop, but for `te: trailers`, and without those that only proxies write. */
export function judgedHeader(
  name: string,
  head: JudgedHead,
  fields: { get(name: string): string | undefined },
): string | undefined {
  switch (name) {
    case 'host':
      return head.authority === '' ? undefined : head.authority;
    case 'upgrade':
      return head.upgrade === SWITCHED_TO ? SWITCHED_TO : undefined;
    case 'connection':
      return head.upgrade === SWITCHED_TO ? 'upgrade' : undefined;
    default:
      return fields.get(name);
  }
}

/** The value of such a field as it is compared: those that are written anew for the server are in lower case. */
export function judgedValue(name: string, value: string): string {
  return name === 'upgrade' || name === 'connection' || name === 'te' ? value.toLowerCase() : value;
}
