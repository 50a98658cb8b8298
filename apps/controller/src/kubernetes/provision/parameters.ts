/**
 * Parameters of waypoints: those of a class, and those that a Gateway names.
 *
 * ConfigMaps of the class are few and kept; of all others only that they changed is kept, and only once some Gateway names one.
 * A ConfigMap is read when a waypoint is reconciled.
 */
import type { Finding, ObjectKey } from '@ambit/api';
import { type KubeObject, Reflector } from '@ambit/kube';
import type { WaypointSpec } from '@ambit/model';
import type { KubernetesContext } from '../context.ts';
import { complain, type Layer, parseOverlays } from './overlays.ts';

const DEFAULTS_FOR_CLASS = 'gateway.istio.io/defaults-for-class';
const CONFIG_MAPS = { group: '', version: 'v1', resource: 'configmaps' };
const WANTED = { group: '', resource: 'configmaps', versions: ['v1'] };

/** What one ConfigMap says. */
export interface Parameters extends Layer {
  readonly source: ObjectKey;
  /** Not empty: the overlays are not to be used. */
  readonly findings: readonly Finding[];
}

export interface ParametersOptions {
  readonly context: Pick<KubernetesContext, 'http' | 'client' | 'discovery' | 'clock' | 'metrics'>;
  /** Where the ConfigMaps of classes are. */
  readonly rootNamespace: string;
  /** Parameters of these waypoints changed; undefined: of any. */
  readonly onChange: (waypoints: Iterable<string> | undefined) => void;
}

interface ClassDefaults {
  readonly className: string;
  readonly parameters: Parameters;
}

export class WaypointParameters {
  readonly #options: ParametersOptions;
  readonly #defaults: Reflector<ClassDefaults>;
  /** Of all ConfigMaps, what changes when one does. */
  readonly #others: Reflector<string>;
  #isFollowing = false;
  /** ConfigMap `namespace/name` → waypoints that name it. */
  readonly #users = new Map<string, Set<string>>();
  readonly #named = new Map<string, string>();

  constructor(options: ParametersOptions) {
    this.#options = options;
    const { http, discovery, clock, metrics } = options.context;
    const common = { http, discovery, clock, metrics, resource: WANTED };
    this.#defaults = new Reflector<ClassDefaults>({
      ...common,
      namespace: options.rootNamespace,
      labelSelector: DEFAULTS_FOR_CLASS,
      prune: (object) => {
        const className = object.metadata.labels?.[DEFAULTS_FOR_CLASS];
        return className === undefined
          ? undefined
          : { className, parameters: parametersOf(object, { isOfClass: true }) };
      },
      onEvent: () => options.onChange(undefined),
    });
    this.#others = new Reflector({
      ...common,
      metadataOnly: true,
      prune: ({ metadata }) => metadata.resourceVersion ?? '',
      onEvent: (event) => {
        const users = 'key' in event ? this.#users.get(event.key ?? '') : undefined;
        if (users !== undefined) options.onChange(users);
      },
    });
  }

  start(): void {
    this.#defaults.start();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#defaults.stop(), this.#others.stop()]);
  }

  /** Resolves when those of classes are known. */
  async whenSynced(): Promise<void> {
    await this.#defaults.whenSynced();
  }

  /** Of its class first, then its own. Throws KubeError. */
  async of(spec: WaypointSpec, signal: AbortSignal): Promise<readonly Parameters[]> {
    const ofClass = [...this.#defaults.entries()]
      .filter(([, { className }]) => className === spec.className)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .slice(0, 1)
      .map(([, { parameters }]) => parameters);
    const own = await this.#ownOf(spec, signal);
    return own === undefined ? ofClass : [...ofClass, own];
  }

  /** The waypoint is gone. */
  forget(waypoint: string): void {
    this.#name(waypoint, undefined);
  }

  async #ownOf(spec: WaypointSpec, signal: AbortSignal): Promise<Parameters | undefined> {
    const { namespace } = spec;
    const reference = spec.infrastructure?.parametersRef;
    const waypoint = `${namespace}/${spec.name}`;
    this.#name(waypoint, reference === undefined ? undefined : `${namespace}/${reference.name}`);
    if (reference === undefined) return undefined;
    if (!this.#isFollowing) {
      this.#isFollowing = true;
      this.#others.start();
    }
    const { name } = reference;
    const object = await this.#options.context.client.find(
      CONFIG_MAPS,
      { namespace, name },
      { signal },
    );
    return object === undefined
      ? absent(namespace, name)
      : parametersOf(object, { isOfClass: false });
  }

  #name(waypoint: string, configMap: string | undefined): void {
    const before = this.#named.get(waypoint);
    if (before === configMap) return;
    if (before !== undefined) {
      const users = this.#users.get(before);
      users?.delete(waypoint);
      if (users?.size === 0) this.#users.delete(before);
      this.#named.delete(waypoint);
    }
    if (configMap !== undefined) {
      this.#named.set(waypoint, configMap);
      const users = this.#users.get(configMap) ?? new Set();
      this.#users.set(configMap, users.add(waypoint));
    }
  }
}

function parametersOf(
  object: KubeObject,
  { isOfClass }: { readonly isOfClass: boolean },
): Parameters {
  const { namespace = '', name } = object.metadata;
  const findings: Finding[] = [];
  const data = (object['data'] ?? {}) as Readonly<Record<string, string>>;
  const overlays = parseOverlays(data, findings);
  return { source: `ConfigMap/${namespace}/${name}`, overlays, isOfClass, findings };
}

function absent(namespace: string, name: string): Parameters {
  const findings: Finding[] = [];
  complain(findings, {
    path: 'spec.infrastructure.parametersRef',
    message: 'names a ConfigMap that is not there',
    found: JSON.stringify(name),
    allowed: `a ConfigMap in namespace ${namespace}`,
    fix: 'create it, or take the reference out',
  });
  return { source: `ConfigMap/${namespace}/${name}`, overlays: {}, isOfClass: false, findings };
}
