/**
 * The controller in a cluster: objects from the API, the CA's key in a Secret, and what only the holder of the lease
 * does: waypoints, statuses, events, root certificates, the webhook's configuration, taints.
 *
 * Every replica reads and serves; nothing here is needed for that but the reflectors and the CA.
 */
import type { CertificateAuthority, CertificateIssuer, TokenVerifier } from '@ambit/identity';

import type { CaRotation } from '../admin/ca-routes.ts';
import type { ControllerConfig } from '../config.ts';
import { createClusterMetrics, createDutyMetrics, type DutyMetrics } from '../metrics.ts';
import type { Parts, Surroundings } from '../parts.ts';
import type { KeptName, Platform, WaypointRunner } from '../platform.ts';
import { type Kept, NOTHING_KEPT } from '../status/state-file.ts';
import type { KubernetesContext } from './context.ts';
import { leaderDuties } from './duties.ts';
import { Leadership } from './leadership.ts';
import { openContext } from './open-context.ts';
import type { WaypointSettings } from './provision/waypoint-parts.ts';
import { WaypointProvisioner } from './provision/waypoint-provisioner.ts';
import type { KubernetesSettings } from './settings.ts';
import { KubernetesSource } from './source/kubernetes-source.ts';
import { LastAccepted } from './source/last-accepted.ts';
import { ClusterTrust } from './trust/cluster-trust.ts';
import { KubernetesWebhook, serviceNames } from './trust/kubernetes-webhook.ts';
import { TokenReviewVerifier } from './trust/token-review.ts';

export async function openKubernetes(
  config: ControllerConfig,
  settings: KubernetesSettings,
  around: Surroundings,
): Promise<Platform> {
  const context = openContext(settings, around);
  const trust = await ClusterTrust.create({ context, config, settings });
  return new KubernetesPlatform({ config, settings, around, context, trust });
}

interface Given {
  readonly config: ControllerConfig;
  readonly settings: KubernetesSettings;
  readonly around: Surroundings;
  readonly context: KubernetesContext;
  readonly trust: ClusterTrust;
}

class KubernetesPlatform implements Platform {
  readonly source: KubernetesSource;
  readonly verifier: TokenVerifier;
  readonly authority: CertificateAuthority;
  readonly issuer: CertificateIssuer;
  readonly waypoints: WaypointRunner;
  readonly #given: Given;
  readonly #lastAccepted: LastAccepted;
  readonly #provisioner: WaypointProvisioner;
  readonly #metrics: DutyMetrics;
  readonly #closers: (() => Promise<void>)[] = [];
  #onWaypoint: (waypoint: string) => void = () => undefined;

  constructor(given: Given) {
    const { config, settings, around, context, trust } = given;
    this.#given = given;
    this.#metrics = createDutyMetrics(around.registry);
    this.#lastAccepted = new LastAccepted(context);
    this.source = new KubernetesSource({ context, lastAccepted: this.#lastAccepted });
    const verifier = new TokenReviewVerifier({ client: context.client, clock: context.clock });
    this.verifier = verifier;
    createClusterMetrics(around.registry, {
      leftOut: () => this.#lastAccepted.leftOut,
      tokenReviews: () => ({ ...verifier.counters }),
    });
    this.authority = trust.authority;
    this.issuer = trust.issuer;
    this.#provisioner = new WaypointProvisioner({
      context,
      settings: waypointSettings(config, settings),
      onChange: (waypoint) => this.#onWaypoint(waypoint),
    });
    this.waypoints = {
      set: (waypoints) => this.#provisioner.set(waypoints),
      stop: () => Promise.resolve(),
    };
  }

  async open(onProblems: (problems: readonly string[]) => void): Promise<void> {
    const { context, trust } = this.#given;
    context.discovery.start();
    await trust.open(onProblems);
  }

  /** The cluster itself keeps what matters. */
  kept<T>(_name: KeptName): Kept<T> {
    return NOTHING_KEPT;
  }

  async run(parts: Parts, signal: AbortSignal): Promise<void> {
    const { context, settings, trust } = this.#given;
    trust.watchFolder(signal);
    const duties = leaderDuties({
      ...this.#given,
      metrics: this.#metrics,
      source: this.source,
      lastAccepted: this.#lastAccepted,
      provisioner: this.#provisioner,
      onWaypoint: (listener) => {
        this.#onWaypoint = listener;
      },
      parts,
    });
    await this.#serveWebhook();
    const leadership = new Leadership(context, { revision: settings.revision, duties });
    this.#closers.unshift(async () => await leadership.stop());
    leadership.start();
  }

  caRotation({ proxies }: Pick<Parts, 'proxies'>): CaRotation {
    return this.#given.trust.rotation(proxies);
  }

  async stop(): Promise<void> {
    const { context, trust } = this.#given;
    for (const close of this.#closers.splice(0)) await close();
    await trust.stop();
    await context.discovery.stop();
    context.http.close();
  }

  async #serveWebhook(): Promise<void> {
    const { config, settings, around } = this.#given;
    const { webhookAddress, service, namespace } = settings;
    if (webhookAddress === undefined) return;
    const webhook = new KubernetesWebhook({
      authority: this.authority,
      names: serviceNames({ service, namespace, clusterDomain: config.clusterDomain }),
      clock: around.clock,
      log: around.log.scoped('webhook'),
      registry: around.registry,
      ...webhookAddress,
    });
    await webhook.start();
    this.#closers.push(async () => await webhook.stop());
  }
}

function waypointSettings(
  config: ControllerConfig,
  { waypoint, service, serviceAccount, namespace, rootConfigMap }: KubernetesSettings,
): WaypointSettings {
  const { rootNamespace, trustDomain, clusterDomain, clusterId, network, logLevels } = config;
  return {
    image: waypoint.image,
    imagePullPolicy: waypoint.pullPolicy,
    resources: waypoint.resources,
    isScraped: waypoint.isScraped,
    controllerAddress: `https://${service}.${namespace}.svc:15012`,
    rootConfigMap,
    rootNamespace,
    reservedAccounts: new Set([...config.trustedNodeAccounts, `${namespace}/${serviceAccount}`]),
    trustDomain,
    clusterDomain,
    clusterId,
    network,
    logLevel: logLevels.toString(),
  };
}
