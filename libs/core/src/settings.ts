/**
 * Settings from an environment: read one by one, all problems told at once.
 *
 * Each program has one file that reads its environment, through this. A bad value leaves the fallback and
 * a problem; nothing may start while `problems` is not empty.
 */

export type Environment = Readonly<Record<string, string | undefined>>;

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Of a unix socket path, with its zero byte (unix(7)). */
const SOCKET_PATH_BYTES_MAX = 107;
const SHOWN_MAX = 80;
const SECONDS_PER_UNIT: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600 };

export class Settings {
  readonly #env: Environment;
  readonly #problems: string[] = [];

  constructor(env: Environment) {
    this.#env = env;
  }

  /** `NAME "value" is not …`, in the order of reading. */
  get problems(): readonly string[] {
    return this.#problems;
  }

  text(name: string, fallback: string): string {
    return this.#env[name] ?? fallback;
  }

  required(name: string): string {
    const value = this.#env[name] ?? '';
    return value === '' ? this.problem(name, 'is required', '') : value;
  }

  /** `parse` answers undefined for what it does not take; `wanted` ends the sentence `NAME "x" is not …`. */
  parsed<T>(
    name: string,
    options: {
      readonly fallback: T;
      readonly wanted: string;
      readonly parse: (value: string) => T | undefined;
    },
  ): T {
    const value = this.#env[name];
    if (value === undefined) {
      return options.fallback;
    }
    return (
      options.parse(value) ??
      this.problem(
        name,
        `"${value.slice(0, SHOWN_MAX)}" is not ${options.wanted}`,
        options.fallback,
      )
    );
  }

  /** `https://HOST:PORT`; a missing scheme is https. Empty stays empty. */
  address(name: string, fallback: string): string {
    return this.parsed(name, {
      fallback,
      wanted: 'https://HOST:PORT',
      parse: (value) => {
        if (value === '') {
          return value;
        }
        const text = value.includes('://') ? value : `https://${value}`;
        const url = URL.parse(text);
        return url?.protocol === 'https:' && url.port !== '' ? text : undefined;
      },
    });
  }

  integer(
    name: string,
    range: { readonly fallback: number; readonly min: number; readonly max: number },
  ): number {
    const { fallback, min, max } = range;
    return this.parsed(name, {
      fallback,
      wanted: `a whole number in ${min}..${max}`,
      parse: (value) => {
        const number = value.trim() === '' ? Number.NaN : Number(value);
        return Number.isInteger(number) && number >= min && number <= max ? number : undefined;
      },
    });
  }

  /** Seconds of `90`, `90s`, `5m`, `24h`, `500ms`; more than zero. */
  duration<T extends number | undefined>(name: string, fallback: T): number | T {
    return this.parsed<number | T>(name, {
      fallback,
      wanted: 'a duration like 90s',
      parse: (value) => {
        const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(value);
        const seconds = Number(match?.[1]) * (SECONDS_PER_UNIT[match?.[2] ?? 's'] ?? Number.NaN);
        return seconds > 0 ? seconds : undefined;
      },
    });
  }

  flag(name: string, fallback: boolean): boolean {
    return this.parsed(name, {
      fallback,
      wanted: 'true or false',
      parse: (value) => {
        const text = value.toLowerCase();
        if (text === 'true' || text === '1') {
          return true;
        }
        return text === 'false' || text === '0' ? false : undefined;
      },
    });
  }

  /** `host:port`, `[v6]:port`, `:port` (every address). Port 0 picks one. */
  endpoint(name: string, fallback: HostPort): HostPort {
    return this.parsed(name, { fallback, wanted: 'HOST:PORT', parse: parseHostPort });
  }

  socketPath(name: string, fallback: string): string {
    const value = this.#env[name] ?? fallback;
    return new TextEncoder().encode(value).length > SOCKET_PATH_BYTES_MAX
      ? this.problem(name, `is longer than ${SOCKET_PATH_BYTES_MAX} bytes`, fallback)
      : value;
  }

  /** Notes what is wrong with a value and answers the fallback. */
  problem<T>(name: string, what: string, fallback: T): T {
    this.#problems.push(`${name} ${what}`);
    return fallback;
  }
}

/** How long open connections get when a proxy stops, in milliseconds (the reference's `CONNECTION_TERMINATION_DEADLINE`, else its grace period less a margin). */
export function drainMsOf(settings: Settings): number {
  const own = settings.duration('CONNECTION_TERMINATION_DEADLINE', undefined);
  if (own !== undefined) {
    return own * 1000;
  }
  const grace = settings.duration('TERMINATION_GRACE_PERIOD_SECONDS', undefined);
  if (grace === undefined) {
    return 5_000;
  }
  return Math.max(1, grace <= 10 ? grace - 1 : grace - 5) * 1000;
}

function parseHostPort(value: string): HostPort | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(value);
  const port = Number(match?.[3] ?? Number.NaN);
  return port <= 65_535 ? { host: (match?.[1] ?? match?.[2]) || '::', port } : undefined;
}

export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const part of Object.values(value)) {
      deepFreeze(part);
    }
    Object.freeze(value);
  }
  return value;
}
