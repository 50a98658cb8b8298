/**
 * A control plane in the test's own process: the real server, CA and codecs, fed with model resources.
 *
 * It believes only pods that were added: by the same node restriction as the real one.
 */
import { type Clock, systemClock } from '@ambit/core';
import type { CertificateAuthority, PodIndex, PodRecord } from '@ambit/identity';
import { PodTokenIssuer } from '@ambit/identity';
import type { Address, Enrolment } from '@ambit/model';
import type { CompiledPolicy } from '@ambit/policy';
import {
  addressResource,
  authorizationResource,
  type CertificateServiceEvent,
  type ContentHash,
  type ControlPlaneAddress,
  ControlPlaneServer,
  DeltaServer,
  type DeltaServerEvent,
  enrolmentResource,
  loadContentHash,
  type ObjectResource,
  objectResource,
  type StreamView,
  TYPE_URL,
} from '@ambit/xds';
import { MapSource } from '@ambit/xds/testing';

import { TestCa } from './test-ca.ts';

export interface FakeUpdate {
  readonly addresses?: readonly Address[];
  readonly authorizations?: readonly CompiledPolicy[];
  readonly enrolments?: readonly Enrolment[];
  readonly objects?: readonly ObjectResource[];
  /** Names that go, by type. */
  readonly removed?: {
    readonly addresses?: readonly string[];
    readonly authorizations?: readonly string[];
    readonly enrolments?: readonly string[];
    readonly objects?: readonly string[];
  };
}

/** A pod, as caller or as one whose identity an agent asks for. */
export interface FakeCaller {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly pod: string;
  readonly node: string;
}

export interface FakeControlPlaneOptions {
  readonly clock?: Clock;
  readonly ca?: TestCa;
  /** `namespace/serviceaccount`; default: the reference's agent and ours. */
  readonly trustedNodeAccounts?: readonly string[];
}

export class FakeControlPlane {
  readonly ca: TestCa;
  readonly authority: CertificateAuthority;
  readonly tokens: PodTokenIssuer;
  /** All that happened on streams, oldest first. */
  readonly events: DeltaServerEvent[] = [];
  readonly certificateEvents: CertificateServiceEvent[] = [];
  readonly #pods = new Map<string, PodRecord>();
  readonly #source = new MapSource();
  readonly #hash: ContentHash;
  readonly #clock: Clock;
  readonly #trusted: ReadonlySet<string>;
  #delta: DeltaServer | undefined;
  #server: ControlPlaneServer | undefined;
  #port = 0;

  private constructor(
    options: FakeControlPlaneOptions,
    parts: { readonly tokens: PodTokenIssuer; readonly hash: ContentHash },
  ) {
    this.#clock = options.clock ?? systemClock;
    this.ca = options.ca ?? new TestCa();
    this.authority = this.ca.authority({ clock: this.#clock });
    this.tokens = parts.tokens;
    this.#hash = parts.hash;
    this.#trusted = new Set(
      options.trustedNodeAccounts ?? ['istio-system/ztunnel', 'istio-system/ambit-node-agent'],
    );
  }

  /** Listens on a free port of 127.0.0.1. */
  static async start(options: FakeControlPlaneOptions = {}): Promise<FakeControlPlane> {
    const tokens = await PodTokenIssuer.create({ clock: options.clock ?? systemClock });
    const made = new FakeControlPlane(options, { tokens, hash: await loadContentHash() });
    await made.listen();
    return made;
  }

  /** Again on the same port after `stop`: resources, CA and token keys are the same. */
  async listen(): Promise<void> {
    this.#delta = new DeltaServer({
      clock: this.#clock,
      source: this.#source,
      onEvent: (event) => this.events.push(event),
    });
    this.#server = new ControlPlaneServer({
      delta: this.#delta,
      verifier: this.tokens,
      certificates: {
        verifier: this.tokens,
        authority: this.authority,
        index: this.#index(),
        trustedNodeAccounts: this.#trusted,
        onEvent: (event) => this.certificateEvents.push(event),
      },
      serving: this.authority.issueServing({ names: ['127.0.0.1'], ttlSeconds: 3_600 }),
    });
    this.#port = await this.#server.listen(`127.0.0.1:${this.#port}`);
  }

  /** Breaks every stream and stops listening. Idempotent. */
  stop(): void {
    this.#server?.stop();
    this.#server = undefined;
    this.#delta = undefined;
  }

  get address(): string {
    return `https://127.0.0.1:${this.#port}`;
  }

  get streams(): readonly StreamView[] {
    return this.#delta?.streams() ?? [];
  }

  /** A running pod. Its uid is `uid-NAMESPACE-POD`. */
  addPod({ namespace, serviceAccount, pod, node }: FakeCaller): void {
    const uid = `uid-${namespace}-${pod}`;
    this.#pods.set(`${namespace}/${pod}`, { uid, serviceAccount, node });
  }

  /** Where and as whom a caller connects; adds its pod. */
  async target(caller: FakeCaller): Promise<ControlPlaneAddress> {
    this.addPod(caller);
    const { namespace, serviceAccount, pod, node } = caller;
    const token = await this.tokens.mint({
      namespace,
      serviceAccount,
      pod: { name: pod, uid: `uid-${namespace}-${pod}` },
      node,
      ttlSeconds: 3_600,
    });
    return {
      address: this.address,
      rootCa: () => Promise.resolve(this.ca.rootPem),
      token: () => Promise.resolve(token),
      clusterId: 'Kubernetes',
    };
  }

  /** One batch, pushed to whoever subscribes. */
  apply({
    addresses = [],
    authorizations = [],
    enrolments = [],
    objects = [],
    removed = {},
  }: FakeUpdate): void {
    const hash = this.#hash;
    this.#source.apply([
      {
        typeUrl: TYPE_URL.enrolment,
        set: enrolments.map((one) => enrolmentResource(one, hash)),
        remove: removed.enrolments ?? [],
      },
      {
        typeUrl: TYPE_URL.authorization,
        set: authorizations.map((one) => authorizationResource(one, hash)),
        remove: removed.authorizations ?? [],
      },
      {
        typeUrl: TYPE_URL.address,
        set: addresses.map((one) => addressResource(one, hash)),
        remove: removed.addresses ?? [],
      },
      {
        typeUrl: TYPE_URL.object,
        set: objects.map((one) => objectResource(one, hash)),
        remove: removed.objects ?? [],
      },
    ]);
  }

  /** True when every stream has answered all that was sent and nothing waits. */
  get isSettled(): boolean {
    return this.streams.every((stream) =>
      [...stream.types.values()].every((type) => type.isSettled),
    );
  }

  /** Waits, turn by turn of the event loop, until `check` holds. The test's timeout is the limit. */
  async until(check: () => boolean): Promise<void> {
    while (!check()) {
      await new Promise(setImmediate);
    }
  }

  #index(): PodIndex {
    return {
      pod: (namespace, name) => this.#pods.get(`${namespace}/${name}`),
      hasPodOnNode: ({ namespace, serviceAccount, node }) =>
        [...this.#pods].some(
          ([key, pod]) =>
            key.startsWith(`${namespace}/`) &&
            pod.serviceAccount === serviceAccount &&
            pod.node === node,
        ),
    };
  }
}
