/**
 * Clients that show a pod's agent a certificate by hand, and servers that show one to the agent that dials them, most of them one that
 * must not be taken. Imported by tests only.
 */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { buildCa, buildLeaf, type Issuer } from '@ambit/identity';
import type { Caller } from './caller.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
const OK = 200;
/** Of what a server would be asked for. */
const APP_PORT = 8_080;
const WORD = 'word';

export interface Root extends Issuer {
  readonly pem: string;
  readonly keyPem: string;
}

export interface Papers {
  readonly certificate?: string;
  readonly key?: string;
}

const pemOf = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString();

export function makeRoot(commonName: string): Root {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const validity = { notBeforeMs: Date.now() - DAY_MS, notAfterMs: Date.now() + DAY_MS };
  const { pem, certificate } = buildCa({ privateKey, organization: 'soak', commonName, validity });
  return { pem, certificate, privateKey, keyPem: pemOf(privateKey) };
}

/** A certificate of `identity`, good from so many milliseconds before now, or after it, to so many after. */
export function papersOf(
  issuer: Root,
  identity: string,
  [fromMs, toMs]: readonly [number, number] = [-MINUTE_MS, HOUR_MS],
): Papers {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const leaf = buildLeaf({
    issuer,
    publicKey,
    names: [{ kind: 'uri', value: identity }],
    validity: { notBeforeMs: Date.now() + fromMs, notAfterMs: Date.now() + toMs },
  });
  return { certificate: leaf.pem, key: pemOf(privateKey) };
}

export const EXPIRED = [-HOUR_MS, -1_000] as const;
export const NOT_YET = [MINUTE_MS, HOUR_MS] as const;

/** Of each kind, how many tried and how many were taken for what they said. */
export class Attempts {
  readonly #counts = new Map<string, { tried: number; taken: number; whys: Set<string> }>();

  /** `why`: what came of it. */
  note(kind: string, isTaken: boolean, why: string): void {
    const count = this.#counts.get(kind) ?? { tried: 0, taken: 0, whys: new Set() };
    this.#counts.set(kind, count);
    count.tried += 1;
    count.taken += isTaken ? 1 : 0;
    count.whys.add(why);
  }

  /** `kind: taken of tried`, and what came of it. */
  get summary(): readonly string[] {
    return [...this.#counts].map(
      ([kind, { tried, taken, whys }]) =>
        `${kind}: ${taken} of ${tried} let in (${[...whys].slice(0, 4).join(', ')})`,
    );
  }

  /** [tried, taken] */
  counts(kind: string): readonly [number, number] {
    const { tried = 0, taken = 0 } = this.#counts.get(kind) ?? {};
    return [tried, taken];
  }

  get kinds(): readonly string[] {
    return [...this.#counts.keys()];
  }
}

/** Clients at the agent of a pod. */
export class Impostors {
  readonly attempts = new Attempts();
  readonly #caller: Caller;
  readonly #target: { readonly host: string; readonly authority: string };

  constructor(caller: Caller, podAddress: string) {
    const host = podAddress;
    const authority = host.includes(':') ? `[${host}]:8080` : `${host}:8080`;
    this.#caller = caller;
    this.#target = { host, authority };
  }

  async try(kind: string, papers: Papers): Promise<void> {
    const { status, error = 'no answer' } = await this.#caller.tunnel({
      ...this.#target,
      ...papers,
    });
    this.attempts.note(kind, status === OK, status === 0 ? error : String(status));
  }
}

/** Servers in a pod that nobody captures, and of which the mesh says that it speaks tunnels itself. */
export class ImpostorServers {
  readonly attempts = new Attempts();
  readonly #caller: Caller;
  readonly #client: Caller;
  readonly #host: string;

  /** `caller` is in the pod; `client` in one whose agent will dial it. */
  constructor(caller: Caller, client: Caller, podAddress: string) {
    this.#caller = caller;
    this.#client = client;
    this.#host = podAddress;
  }

  /** Taken: a tunnel was opened to it, whether or not anything came back. */
  async try(kind: string, papers: Papers): Promise<void> {
    await this.#caller.show(papers);
    const before = await this.#caller.tunnels();
    const { received, error } = await this.#client.tcp({
      host: this.#host,
      port: APP_PORT,
      send: WORD,
    });
    const isTaken = received !== '' || (await this.#caller.tunnels()) > before;
    const isServed = received === WORD;
    this.attempts.note(kind, isTaken, isServed ? 'served' : (error ?? 'nothing came back'));
  }
}
