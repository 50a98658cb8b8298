/**
 * Rotates the root that the controller made, one step at a time, on somebody's word.
 *
 * The one rule: a step waits for every connected proxy to have what the step before brought, in its root file and with
 * all its certificates. Any replica may take a step: the Secret is written with the version that was read, so of two
 * steps at once one is refused.
 */
import { X509Certificate } from 'node:crypto';

import { parseCertificates, trustMark, trustProblem } from '@ambit/identity';
import { isKubeError, type KubeObject } from '@ambit/kube';
import type { AdminCa, AdminCaRoot, AdminCaWaiting } from '@ambit/model';

import { ControllerError } from '../../errors.ts';
import type { ProxyTrust } from '../../serve/proxy-table.ts';
import type { KubernetesContext } from '../context.ts';
import { type CaSecret, caSecretOf, caTextsOf, encode, SECRETS } from './ca-secret.ts';
import {
  abortChange,
  applied,
  checkUsable,
  moveOf,
  NEXT_KEYS,
  nextChange,
  type SecretChange,
  SINCE_ANNOTATION,
  stepOf,
} from './rotation-steps.ts';

/** Of proxies in a message. */
const NAMED_MAX = 5;

export interface RootRotationOptions {
  readonly context: Pick<KubernetesContext, 'client' | 'clock' | 'log' | 'namespace'>;
  /** AMBIT_CA_SECRET */
  readonly secretName: string;
  readonly trustDomain: string;
  /** `ProxyTable.trust()`: all there are, whichever replica they are connected to. */
  readonly proxies: () => readonly ProxyTrust[];
}

interface Read {
  readonly object: KubeObject;
  readonly secret: CaSecret;
}

export class RootRotation {
  readonly #options: RootRotationOptions;

  constructor(options: RootRotationOptions) {
    this.#options = options;
  }

  /** Throws KubeError when the Secret cannot be read, CONTROLLER_CA_SECRET_INVALID when it cannot be used. */
  async describe(): Promise<AdminCa> {
    const read = await this.#read();
    if (read === undefined) return this.#fixed(`Secret ${this.#name} is not there`);
    const { secret } = read;
    if (!secret.isOurs) return { ...this.#fixed(this.#foreign), roots: rootsOf(secret) };
    const step = stepOf(secret);
    const sinceMs = Date.parse(secret.annotations[SINCE_ANNOTATION] ?? '');
    return {
      trustDomain: this.#options.trustDomain,
      source: `Secret ${this.#name}`,
      step,
      ...(step === 'none' || Number.isNaN(sinceMs) ? {} : { sinceMs }),
      next: moveOf(secret),
      roots: rootsOf(secret),
      proxies: this.#options.proxies().length,
      waiting: this.#waiting(secret),
    };
  }

  /**
   * Takes the next step. `from`: only if that is where it is, so that who asks twice takes one. `isForced`: without waiting for proxies; those that are behind are refused by others, and
   * refuse them, until they have followed. Throws CONTROLLER_ROTATION_REFUSED.
   */
  async next({
    isForced = false,
    from,
  }: {
    readonly isForced?: boolean;
    readonly from?: string | undefined;
  } = {}): Promise<AdminCa> {
    const { context, trustDomain } = this.#options;
    const { clock, log } = context;
    const read = await this.#readOurs();
    const step = stepOf(read.secret);
    if (from !== undefined && from !== step) {
      throw refused(`the rotation is at "${step}", not at "${from.slice(0, 80)}"; look again`);
    }
    const waiting = this.#waiting(read.secret);
    if (waiting.length > 0 && !isForced) {
      const named = waiting.slice(0, NAMED_MAX).map(({ proxy, reason }) => `${proxy} (${reason})`);
      const more = waiting.length > NAMED_MAX ? ` and ${waiting.length - NAMED_MAX} more` : '';
      throw refused(
        `${waiting.length} of ${this.#options.proxies().length} proxies have not what the last step brought: ${named.join(', ')}${more}`,
        { retryable: true },
      );
    }
    const change = nextChange(read.secret, { nowMs: clock.wallNow(), trustDomain });
    checkUsable(applied(read.secret, change), { trustDomain, clock });
    await this.#write(read, change);
    const forced = isForced ? { withoutWaitingFor: waiting.length } : {};
    log.info('step of the rotation', { secret: this.#name, step: change.move, ...forced });
    return await this.describe();
  }

  /** Back to the old root alone, as long as nothing was signed with the next one. Throws CONTROLLER_ROTATION_REFUSED. */
  async abort(): Promise<AdminCa> {
    const read = await this.#readOurs();
    const change = abortChange(read.secret);
    if (change === undefined) {
      const step = stepOf(read.secret);
      throw refused(
        step === 'none'
          ? 'no rotation is going on'
          : 'the next root signs already; finish, and rotate again to get rid of it',
      );
    }
    await this.#write(read, change);
    this.#options.context.log.info('rotation given up', { secret: this.#name });
    return await this.describe();
  }

  get #name(): string {
    return `${this.#options.context.namespace}/${this.#options.secretName}`;
  }

  get #foreign(): string {
    return `Secret ${this.#name} was not made by the controller; whoever keeps it has to rotate it`;
  }

  async #read(): Promise<Read | undefined> {
    const { context, secretName: name } = this.#options;
    if (name === '') return undefined;
    const object = await context.client.find(SECRETS, { namespace: context.namespace, name });
    return object === undefined ? undefined : { object, secret: caSecretOf(object) };
  }

  async #readOurs(): Promise<Read> {
    const read = await this.#read();
    if (read === undefined) throw refused(`Secret ${this.#name} is not there`);
    if (!read.secret.isOurs) throw refused(this.#foreign);
    return read;
  }

  #waiting(secret: CaSecret): readonly AdminCaWaiting[] {
    const texts = caTextsOf(secret);
    const wanted = {
      rootBundlePem: texts.roots,
      mark: trustMark({
        rootBundlePem: texts.roots,
        issuerPem: texts.certificate,
        chainPem: texts.chain,
      }),
    };
    return this.#options.proxies().flatMap(({ name, names }): readonly AdminCaWaiting[] => {
      const reason = trustProblem(names, wanted);
      return reason === undefined ? [] : [{ proxy: name, reason }];
    });
  }

  async #write({ object }: Read, { values, annotations }: SecretChange): Promise<void> {
    const { client } = this.#options.context;
    const { metadata } = object;
    const data: Record<string, unknown> = { ...(object['data'] as object) };
    for (const [key, value] of Object.entries(values)) {
      if (value === null) delete data[key];
      else data[key] = encode(value);
    }
    const kept: Record<string, string> = { ...metadata.annotations };
    for (const [key, value] of Object.entries(annotations)) {
      if (value === null) delete kept[key];
      else kept[key] = value;
    }
    try {
      await client.update(SECRETS, {
        ...object,
        metadata: { ...metadata, annotations: kept },
        data,
      });
    } catch (error) {
      if (!isKubeError(error, 'KUBE_CONFLICT')) throw error;
      throw refused('somebody else changed the Secret meanwhile; look again', {
        retryable: true,
        cause: error,
      });
    }
  }

  #fixed(why: string): AdminCa {
    return {
      trustDomain: this.#options.trustDomain,
      source: `Secret ${this.#name}`,
      fixedBecause: why,
      step: 'none',
      roots: [],
      proxies: this.#options.proxies().length,
      waiting: [],
    };
  }
}

function rootsOf(secret: CaSecret): readonly AdminCaRoot[] {
  const texts = caTextsOf(secret);
  const signing = new X509Certificate(texts.certificate);
  const nextPem = secret.values[NEXT_KEYS.certificate];
  const next = nextPem === undefined ? undefined : new X509Certificate(nextPem).fingerprint256;
  return parseCertificates(texts.roots).map((root) => {
    const signs = signing.checkIssued(root) && signing.verify(root.publicKey);
    return {
      name: root.subject.split('\n').join(', '),
      fingerprint: root.fingerprint256,
      notAfterMs: root.validToDate.getTime(),
      use: root.fingerprint256 === next ? 'next' : signs ? 'signs' : 'trusted',
    };
  });
}

function refused(
  why: string,
  options: { readonly retryable?: boolean; readonly cause?: unknown } = {},
): ControllerError {
  return new ControllerError('CONTROLLER_ROTATION_REFUSED', why, options);
}
