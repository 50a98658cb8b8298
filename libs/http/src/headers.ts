/**
 * Header fields of one message: lower-case names, order and repetition kept.
 *
 * Names and values were checked by the parser that read them; what we add ourselves comes from validated
 * configuration, and a value with a control character is never written (`routing` cuts them).
 */
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';
import type { MutableHeaders } from '@ambit/routing';

/** RFC 9110 §7.6.1, and what only speaks of this connection. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** An underscore counts as a hyphen: servers that make variables of names (CGI, WSGI) read both as the same. */
function isInternal(name: string): boolean {
  const folded = name.includes('_') ? name.replaceAll('_', '-') : name;
  return (
    folded === 'x-forwarded-client-cert' ||
    folded.startsWith('x-ambit-') ||
    folded.startsWith('x-envoy-')
  );
}

export class HeaderList implements MutableHeaders {
  #names: string[] = [];
  #values: string[] = [];

  /** Name, value, name, value, as node:http gives `rawHeaders`. */
  static fromRaw(raw: readonly string[]): HeaderList {
    const list = new HeaderList();
    for (let index = 0; index + 1 < raw.length; index += 2) {
      list.add(raw[index] ?? '', raw[index + 1] ?? '');
    }
    return list;
  }

  /** Pseudo headers are left out. */
  static fromNode(headers: IncomingHttpHeaders | OutgoingHttpHeaders): HeaderList {
    const list = new HeaderList();
    for (const [name, value] of Object.entries(headers)) {
      if (value === undefined || name.startsWith(':')) {
        continue;
      }
      for (const one of Array.isArray(value) ? value : [value]) {
        list.add(name, String(one));
      }
    }
    return list;
  }

  get size(): number {
    return this.#names.length;
  }

  /** Names, values and their separators, as a limit counts them. */
  get bytes(): number {
    let bytes = 0;
    for (let index = 0; index < this.#names.length; index += 1) {
      bytes += (this.#names[index]?.length ?? 0) + (this.#values[index]?.length ?? 0) + 4;
    }
    return bytes;
  }

  has(name: string): boolean {
    return this.#names.includes(name);
  }

  /** `name` in lower case. Several values are joined by `,`, those of `cookie` by `; `. */
  get(name: string): string | undefined {
    let joined: string | undefined;
    for (let index = 0; index < this.#names.length; index += 1) {
      if (this.#names[index] === name) {
        const value = this.#values[index] ?? '';
        joined =
          joined === undefined ? value : `${joined}${name === 'cookie' ? '; ' : ','}${value}`;
      }
    }
    return joined;
  }

  count(name: string): number {
    return this.#names.filter((known) => known === name).length;
  }

  add(name: string, value: string): void {
    this.#names.push(name.toLowerCase());
    this.#values.push(value);
  }

  set(name: string, value: string): void {
    this.remove(name);
    this.add(name, value);
  }

  remove(name: string): void {
    const wanted = name.toLowerCase();
    this.filter((known) => known !== wanted);
  }

  /** Keeps the fields whose name passes. */
  filter(keep: (name: string) => boolean): void {
    const names: string[] = [];
    const values: string[] = [];
    for (let index = 0; index < this.#names.length; index += 1) {
      const name = this.#names[index] ?? '';
      if (keep(name)) {
        names.push(name);
        values.push(this.#values[index] ?? '');
      }
    }
    this.#names = names;
    this.#values = values;
  }

  /** Takes out what concerns this hop alone, and whatever `connection` names. `te: trailers` stays. */
  removeHopByHop(): void {
    const named = new Set(
      (this.get('connection') ?? '').split(',').map((name) => name.trim().toLowerCase()),
    );
    const wantsTrailers = (this.get('te') ?? '').split(',').some((te) => te.trim() === 'trailers');
    this.filter((name) => !HOP_BY_HOP.has(name) && !named.has(name));
    if (wantsTrailers) {
      this.add('te', 'trailers');
    }
  }

  /** Takes out what only proxies write, for proxies; whatever a client sends under these names is forged. */
  removeInternal(): void {
    this.filter((name) => !isInternal(name));
  }

  clone(): HeaderList {
    const copy = new HeaderList();
    copy.#names = [...this.#names];
    copy.#values = [...this.#values];
    return copy;
  }

  /** For node:http and node:http2; several values become an array. */
  toNode(): Record<string, string | string[]> {
    const result: Record<string, string | string[]> = Object.create(null) as Record<
      string,
      string | string[]
    >;
    for (let index = 0; index < this.#names.length; index += 1) {
      const name = this.#names[index] ?? '';
      const value = this.#values[index] ?? '';
      const known = result[name];
      if (known === undefined) {
        result[name] = value;
      } else {
        result[name] = Array.isArray(known) ? [...known, value] : [known, value];
      }
    }
    const { cookie } = result;
    if (Array.isArray(cookie)) {
      result['cookie'] = cookie.join('; ');
    }
    return result;
  }

  *[Symbol.iterator](): Generator<[string, string]> {
    for (let index = 0; index < this.#names.length; index += 1) {
      yield [this.#names[index] ?? '', this.#values[index] ?? ''];
    }
  }
}
