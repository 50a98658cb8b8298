/**
 * Reads settings from an environment and gathers what is wrong with them, so that every problem is said at once.
 */
import { isIP } from 'node:net';

import { LogLevelError, LogLevels } from '@ambit/telemetry';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface ListenEndpoint {
  readonly host: string;
  readonly port: number;
}

/** Of a unix socket path, with its zero byte (unix(7)). */
const SOCKET_PATH_BYTES_MAX = 107;
const ACCOUNT = /^[a-z0-9.-]+\/[a-z0-9.-]+$/;

/** Answers something usable for every setting; `problems` says whether it is what was meant. */
export class SettingsReader {
  readonly #env: Environment;
  readonly #problems: string[];

  constructor(env: Environment, problems: string[]) {
    this.#env = env;
    this.#problems = problems;
  }

  text(name: string, fallback: string): string {
    const value = this.#env[name];
    return value === undefined || value === '' ? fallback : value;
  }

  list(name: string, separator: string, fallback: string): readonly string[] {
    return this.text(name, fallback)
      .split(separator)
      .map((part) => part.trim())
      .filter((part) => part !== '');
  }

  matching(name: string, fallback: string, pattern: RegExp, wanted: string): string {
    const value = this.text(name, fallback);
    if (!pattern.test(value)) this.refuse(name, value, wanted);
    return value;
  }

  oneOf<T extends string>(name: string, fallback: T, allowed: readonly T[]): T {
    const value = this.text(name, fallback);
    const found = allowed.find((one) => one === value);
    if (found === undefined) this.refuse(name, value, allowed.join(' or '));
    return found ?? fallback;
  }

  flag(name: string, fallback: 'true' | 'false'): boolean {
    const value = this.text(name, fallback);
    if (value !== 'true' && value !== 'false') this.refuse(name, value, 'true or false');
    return value === 'true';
  }

  accounts(name: string, fallback: string): readonly string[] {
    const accounts = this.list(name, ',', fallback);
    for (const account of accounts) {
      if (!ACCOUNT.test(account)) this.refuse(name, account, 'namespace/serviceaccount');
    }
    return accounts;
  }

  /** Must be there. */
  required(name: string, wanted: string): string {
    const value = this.text(name, '');
    if (value === '') this.#problems.push(`${name} is not set: ${wanted}`);
    return value;
  }

  /** A JSON object. */
  json(name: string, fallback: string): Readonly<Record<string, unknown>> {
    const value = this.text(name, fallback);
    try {
      const parsed: unknown = JSON.parse(value);
      if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) {
        return parsed as Readonly<Record<string, unknown>>;
      }
    } catch {
      // Said below, with what was found.
    }
    this.refuse(name, value, 'a JSON object');
    return {};
  }

  integer(name: string, fallback: number, min: number, max: number): number {
    const text = this.text(name, String(fallback));
    const value = /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    this.refuse(name, text, `a number from ${min} to ${max}`);
    return fallback;
  }

  socketPath(name: string, fallback: string): string {
    const value = this.text(name, fallback);
    if (Buffer.byteLength(value) > SOCKET_PATH_BYTES_MAX) {
      this.refuse(name, value, `a path of at most ${SOCKET_PATH_BYTES_MAX} bytes`);
    }
    return value;
  }

  /** `:15014`, `127.0.0.1:0`, `[::1]:15014`; nothing for `off`. */
  endpoint(name: string, fallback: string): ListenEndpoint | undefined {
    const value = this.text(name, fallback);
    if (value === 'off') return undefined;
    const endpoint = parseEndpoint(value);
    if (endpoint === undefined) this.refuse(name, value, 'IP:PORT or :PORT');
    return endpoint;
  }

  logLevels(name: string, fallback: string): LogLevels {
    const value = this.text(name, fallback);
    try {
      return new LogLevels(value);
    } catch (error) {
      if (!(error instanceof LogLevelError)) throw error;
      this.refuse(name, value, 'levels such as info or xds:debug,info');
      return new LogLevels(fallback);
    }
  }

  xdsAddress(name: string, fallback: string): string {
    const value = this.text(name, fallback);
    if (parseEndpoint(value) === undefined) this.refuse(name, value, 'IP:PORT');
    return value.startsWith(':') ? `[::]${value}` : value;
  }

  /** Notes a problem. */
  refuse(name: string, value: string, wanted: string): void {
    this.#problems.push(`${name} is "${value.slice(0, 80)}", wanted ${wanted}`);
  }
}

function parseEndpoint(text: string): ListenEndpoint | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const host = match[1] ?? match[2] ?? '';
  const port = Number(match[3]);
  if (port > 65_535 || (host !== '' && isIP(host) === 0)) return undefined;
  return { host: host === '' ? '::' : host, port };
}
