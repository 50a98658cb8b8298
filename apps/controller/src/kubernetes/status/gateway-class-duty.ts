/**
 * The GatewayClasses of waypoints: makes those that are missing, and says of each of ours whether it is served and with which
 * features.
 *
 * A class of another controller is never touched, also where it has one of our names: both would write it for ever.
 */
import { isDeepStrictEqual } from 'node:util';

import {
  type CreatedObject,
  type GroupVersionResource,
  isKubeError,
  type KubeObject,
  Reflector,
  type Status,
  WorkQueue,
} from '@ambit/kube';
import {
  type Condition,
  GATEWAY_CONTROLLER,
  type GatewayClassStatus,
  gatewayClassStatus,
  SUPPORTED_FEATURES,
} from '@ambit/model';

import { type KubernetesContext, MANAGED_BY } from '../context.ts';
import { LeaderDuty, untilAborted } from '../leader-duty.ts';
import { gatewayApiStatusOf } from './gateway-status.ts';

const GROUP = 'gateway.networking.k8s.io';
const CLASSES: GroupVersionResource = { group: GROUP, version: 'v1', resource: 'gatewayclasses' };
const DEFINITIONS: GroupVersionResource = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  resource: 'customresourcedefinitions',
};
const BUNDLE_VERSION = 'gateway.networking.k8s.io/bundle-version';

/** What Gateways of waypoints may name as their class. */
const NAMES: ReadonlyMap<string, string> = new Map([
  ['istio-waypoint', 'Waypoints of the mesh, under the name that Istio has for them.'],
  ['ambit-waypoint', 'Waypoints of the mesh.'],
]);
/** One that somebody deletes comes back; so does everything where Gateway API is installed later. */
const AGAIN_MS = 60_000;

export class GatewayClassDuty extends LeaderDuty {
  readonly #context: KubernetesContext;

  constructor({ context }: { readonly context: KubernetesContext }) {
    super();
    this.#context = context;
  }

  protected override async run(signal: AbortSignal): Promise<void> {
    const { http, discovery, clock, metrics } = this.#context;
    const log = this.#context.log.scoped('gateway-classes');
    const queue = new WorkQueue({
      name: 'gateway-classes',
      clock,
      metrics,
      reconcile: async (name) => await this.#reconcile(name, isAbsent(), signal),
      onFailure: (name, error, failures) => {
        if (failures === 1) log.warn('a GatewayClass cannot be written', { name, error });
      },
    });
    const reflector = new Reflector<string>({
      http,
      discovery,
      clock,
      metrics,
      resource: { group: GROUP, resource: 'gatewayclasses', versions: ['v1'] },
      // Read whole when its turn comes: there are a handful.
      prune: ({ metadata }) => metadata.resourceVersion ?? '',
      onEvent: (event) => {
        if ('key' in event && event.key !== undefined) queue.add(event.key);
      },
    });
    const isAbsent = (): boolean => reflector.health().state === 'absent';
    reflector.start();
    const synced = reflector.whenSynced().then(
      () => {
        for (const name of NAMES.keys()) queue.add(name);
        queue.start();
      },
      () => undefined,
    );
    await untilAborted(signal);
    await reflector.stop();
    await synced;
    await queue.stop();
  }

  async #reconcile(
    name: string,
    isAbsent: boolean,
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const again = NAMES.has(name) ? AGAIN_MS : undefined;
    if (isAbsent || signal.aborted) return again;
    const { client } = this.#context;
    const found = await client.find(CLASSES, { name }, { signal });
    const object = found ?? (await this.#create(name, signal));
    if (object !== undefined) await this.#writeStatus(object, signal);
    return again;
  }

  async #create(name: string, signal: AbortSignal): Promise<KubeObject | undefined> {
    const description = NAMES.get(name);
    if (description === undefined) return undefined;
    const object: CreatedObject = {
      apiVersion: `${GROUP}/v1`,
      kind: 'GatewayClass',
      metadata: { name, labels: MANAGED_BY },
      spec: { controllerName: GATEWAY_CONTROLLER, description },
    };
    signal.throwIfAborted();
    try {
      return await this.#context.client.create(CLASSES, object, { signal });
    } catch (error) {
      // Somebody else made it; its event comes.
      if (isKubeError(error, 'KUBE_ALREADY_EXISTS')) return undefined;
      throw error;
    }
  }

  async #writeStatus(object: KubeObject, signal: AbortSignal): Promise<void> {
    const { client, clock } = this.#context;
    const status = statusOf(object);
    if (status === undefined) return;
    const { generation = 0 } = object.metadata;
    const current = (object['status'] ?? {}) as Status;
    const conditions = [
      ...status.conditions,
      supportedVersion(await this.#bundleVersion(signal), generation),
    ];
    const gatewayClass = { ...status, conditions };
    const next = gatewayApiStatusOf({
      current,
      stanza: { kind: 'class', gatewayClass },
      wanted: [],
      spec: object['spec'],
      wallNowMs: clock.wallNow(),
    });
    if (isDeepStrictEqual(next, current)) return;
    signal.throwIfAborted();
    await client.update(CLASSES, { ...object, status: next }, { subresource: 'status', signal });
  }

  /** Of the CRDs; empty where they do not say. */
  async #bundleVersion(signal: AbortSignal): Promise<string> {
    const name = `${CLASSES.resource}.${GROUP}`;
    const definition = await this.#context.client.find(DEFINITIONS, { name }, { signal });
    return definition?.metadata.annotations?.[BUNDLE_VERSION] ?? '';
  }
}

function supportedVersion(version: string, observedGeneration: number): Condition {
  const isSupported = /^v1\./.test(version);
  return {
    type: 'SupportedVersion',
    status: isSupported ? 'True' : 'False',
    reason: isSupported ? 'SupportedVersion' : 'UnsupportedVersion',
    message: `CRDs of Gateway API ${version === '' ? 'of unknown version' : version} are installed; v1 is supported`,
    observedGeneration,
  };
}

/** Undefined for a class of another controller. */
function statusOf({ metadata, ...object }: KubeObject): GatewayClassStatus | undefined {
  const spec = object['spec'] as {
    readonly controllerName?: string;
    readonly parametersRef?: unknown;
  };
  const { name, generation = 0 } = metadata;
  const status = gatewayClassStatus(
    {
      generation,
      controllerName: spec.controllerName ?? '',
      hasParameters: spec.parametersRef !== undefined,
    },
    { controllerName: GATEWAY_CONTROLLER, features: SUPPORTED_FEATURES },
  );
  if (status === undefined || NAMES.has(name)) return status;
  const accepted: Condition = {
    type: 'Accepted',
    status: 'False',
    reason: 'Unsupported',
    message: `only classes ${[...NAMES.keys()].join(' and ')} are served`,
    observedGeneration: generation,
  };
  return { ...status, conditions: [accepted] };
}
