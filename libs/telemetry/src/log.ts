/**
 * Logs: one JSON line an event, on stdout.
 *
 * The message is constant text and the values are fields, so that lines can be counted and searched.
 * State changes are `info`, per-connection events are `debug`, an outage is said once (`OnceUntil`).
 */

export const LOG_LEVELS = ['off', 'error', 'warn', 'info', 'debug', 'trace'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogFields = Readonly<Record<string, unknown>>;

/** Where lines go. `write` must not block for long and must not throw. */
export interface LogSink {
  write(line: string): void;
  /** Lines that were never written, where that can happen. */
  readonly dropped?: number;
}

export const stdoutSink: LogSink = { write: (line) => void process.stdout.write(line) };

export interface Logger {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  trace(message: string, fields?: LogFields): void;
  /** For who writes a line for each request: `fields` is the inside of a JSON object, not empty. See `JsonFields`. */
  line(level: Exclude<LogLevel, 'off'>, message: string, fields: string): void;
  isEnabled(level: LogLevel): boolean;
  /** A logger of another scope with the same sink and levels. */
  scoped(scope: string): Logger;
}

export class LogLevelError extends Error {
  override readonly name = 'LogLevelError';
}

const rank = (level: LogLevel): number => LOG_LEVELS.indexOf(level);

function parseLevel(text: string): LogLevel {
  const level = LOG_LEVELS.find((l) => l === text.trim().toLowerCase());
  if (level === undefined) {
    throw new LogLevelError(`invalid level "${text.slice(0, 40)}": want ${LOG_LEVELS.join('|')}`);
  }
  return level;
}

/** A level for everything and exceptions by scope; changeable while running (`POST /logging`). */
export class LogLevels {
  readonly #initial: string;
  #base: LogLevel = 'info';
  #scopes = new Map<string, LogLevel>();

  /** `info`, or `warn,access=debug,xds=trace`. Throws LogLevelError. */
  constructor(spec = 'info') {
    this.#initial = spec;
    this.apply(spec);
  }

  /** All or nothing. Throws LogLevelError and changes nothing on a bad spec. */
  apply(spec: string): void {
    let base = this.#base;
    const scopes = new Map(this.#scopes);
    for (const part of spec.split(',').filter((p) => p.trim() !== '')) {
      const separator = part.search(/[=:]/);
      if (separator === -1) {
        base = parseLevel(part);
        scopes.clear();
      } else {
        scopes.set(part.slice(0, separator).trim(), parseLevel(part.slice(separator + 1)));
      }
    }
    this.#base = base;
    this.#scopes = scopes;
  }

  reset(): void {
    this.#scopes.clear();
    this.apply(this.#initial);
  }

  isEnabled(scope: string, level: LogLevel): boolean {
    return level !== 'off' && rank(level) <= rank(this.#scopes.get(scope) ?? this.#base);
  }

  toString(): string {
    const scopes = [...this.#scopes].map(([scope, level]) => `${scope}=${level}`);
    return [...scopes, this.#base].join(',');
  }
}

const SECOND_MS = 1_000;
let secondAt = Number.NaN;
let secondText = '';

/** As `Date` writes it; a new text each second, as most lines are of the one before. */
function isoTime(ms: number): string {
  const second = Math.floor(ms / SECOND_MS);
  if (second !== secondAt) {
    secondText = new Date(second * SECOND_MS).toISOString().slice(0, -4);
    secondAt = second;
  }
  const rest = String(Math.floor(ms) - second * SECOND_MS);
  return `${secondText}${rest.padStart(3, '0')}Z`;
}

export interface LoggerOptions {
  readonly scope: string;
  readonly levels: LogLevels;
  readonly sink: LogSink;
  /** Milliseconds since the epoch. */
  readonly wallNow: () => number;
}

/** JSON has no NaN and no infinity. */
const numberText = (value: number): string => (Number.isFinite(value) ? String(value) : 'null');

/** The inside of a JSON object as text, field after field. What is undefined is left out. */
export class JsonFields {
  #text: string;

  /** `text`: what an earlier one gave. */
  constructor(text = '') {
    this.#text = text;
  }

  get text(): string {
    return this.#text;
  }

  /** `name` needs no escape. */
  add(name: string, value: string | number | readonly string[] | undefined): this {
    if (value !== undefined) {
      const encoded = typeof value === 'number' ? numberText(value) : JSON.stringify(value);
      this.#text += `${this.#text === '' ? '' : ','}"${name}":${encoded}`;
    }
    return this;
  }
}

/** Errors become their message, code and causes; a bigint becomes text; a loop becomes `[circular]`. */
function encode(record: Readonly<Record<string, unknown>>): string {
  return isPlain(record) ? JSON.stringify(record) : encodeAny(record);
}

/** Only what JSON has; most lines are, and take a fifth of the time without a function that looks at each value. */
function isPlain(record: Readonly<Record<string, unknown>>): boolean {
  for (const name in record) {
    const type = typeof record[name];
    if (type !== 'string' && type !== 'number' && type !== 'boolean' && type !== 'undefined') {
      return false;
    }
  }
  return true;
}

function encodeAny(record: object): string {
  const seen = new WeakSet<object>();
  return JSON.stringify(record, (_key, value: unknown) => {
    if (typeof value === 'bigint') {
      return value.toString();
    }
    if (value instanceof Error) {
      return describeError(value);
    }
    if (typeof value === 'object' && value !== null) {
      if (seen.has(value)) {
        return '[circular]';
      }
      seen.add(value);
    }
    return value;
  });
}

/** `message: cause: cause`, at most five deep. */
export function describeError(error: unknown): string {
  const parts: string[] = [];
  let current: unknown = error;
  for (let depth = 0; depth < 5 && current !== undefined; depth++) {
    parts.push(current instanceof Error ? current.message : String(current));
    current = current instanceof Error ? current.cause : undefined;
  }
  return parts.join(': ');
}

export function createLogger(options: LoggerOptions): Logger {
  const { scope, levels, sink, wallNow } = options;
  const log = (level: LogLevel, message: string, fields: LogFields | undefined): void => {
    if (levels.isEnabled(scope, level)) {
      const time = isoTime(wallNow());
      sink.write(`${encode({ level, time, scope, message, ...fields })}\n`);
    }
  };
  const scopeText = JSON.stringify(scope);
  return {
    line: (level, message, fields) => {
      if (levels.isEnabled(scope, level)) {
        const head = `"level":"${level}","time":"${isoTime(wallNow())}","scope":${scopeText}`;
        sink.write(`{${head},"message":${JSON.stringify(message)},${fields}}\n`);
      }
    },
    error: (message, fields) => log('error', message, fields),
    warn: (message, fields) => log('warn', message, fields),
    info: (message, fields) => log('info', message, fields),
    debug: (message, fields) => log('debug', message, fields),
    trace: (message, fields) => log('trace', message, fields),
    isEnabled: (level) => levels.isEnabled(scope, level),
    scoped: (name) => createLogger({ ...options, scope: name }),
  };
}

/** Says nothing; for tests, and for code that has nobody to tell. */
export function silentLogger(): Logger {
  const levels = new LogLevels('off');
  return createLogger({ scope: '', levels, sink: { write: () => undefined }, wallNow: () => 0 });
}

/** Says an outage once: true at the first failure after a success, false until the next success. */
export class OnceUntil {
  #failing = false;

  failed(): boolean {
    const first = !this.#failing;
    this.#failing = true;
    return first;
  }

  /** True if this ends an outage. */
  succeeded(): boolean {
    const ended = this.#failing;
    this.#failing = false;
    return ended;
  }
}
