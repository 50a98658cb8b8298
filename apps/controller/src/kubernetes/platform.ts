/**
 * The controller in a cluster: objects from the API, the CA's key in a Secret, and what only the holder of the lease
 * does: waypoints, statuses, root certificates, the webhook's configuration, taints.
 *
 * Every replica reads and serves; nothing here is needed for that but the reflectors and the CA.
 */
import type { CertificateAuthority, CertificateIssuer, TokenVerifier } from '@ambit/identity';
import type { WaypointSpec } from '@ambit/model';

import { type CaRotation, describeFixed, fixedCa } from '../admin/ca-routes.ts';
import { openAuthority } from '../authority.ts';
import type { ControllerConfig } from '../config.ts';
import { createDutyMetrics, type DutyMetrics } from '../metrics.ts';
import type { Parts, Surroundings } from '../parts.ts';
import type { KeptName, Platform, WaypointRunner } from '../platform.ts';
import type { ConfigSource } from '../source/config-source.ts';
import { type Kept, NOTHING_KEPT } from '../status/state-file.ts';
import type { KubernetesContext } from './context.ts';
import { EventDuty } from './events/event-duty.ts';
import { uncapturedPods } from './events/uncaptured-pods.ts';
import type { LeaderDuty } from './leader-duty.ts';
import { Leadership } from './leadership.ts';
import { NodeTaintDuty } from './nodes/node-taint-duty.ts';
import { openContext } from './open-context.ts';
import { WaypointProvisioner } from './provision/waypoint-provisioner.ts';
import type { KubernetesSettings } from './settings.ts';
import { KubernetesSource } from './source/kubernetes-source.ts';
import { LastAccepted } from './source/last-accepted.ts';
import { GatewayClassDuty } from './status/gateway-class-duty.ts';
import { StatusDuty } from './status/status-duty.ts';
import { bothRoots, CertManagerIssuer } from './trust/cert-manager/cert-manager-issuer.ts';
import { KubernetesWebhook, serviceNames } from './trust/kubernetes-webhook.ts';
import { OwnRootRenewal } from './trust/own-root-renewal.ts';
import { RootDistribution } from './trust/root-distribution.ts';
import { RootRotation } from './trust/root-rotation.ts';
import { SecretAuthority } from './trust/secret-authority.ts';
import { TokenReviewVerifier } from './trust/token-review.ts';
import { WebhookDuty } from './trust/webhook-duty.ts';

/** Of the agents' DaemonSet, as the chart names it. */
const AGENT = 'ambit-node-agent';
const WEBHOOK_SERVICE_PORT = 443;
const MOUNTED_CA =
  'its key is in a Secret of yours: replace it, with both roots in root-cert.pem in between';
const FOREIGN_CA = 'cert-manager signs for workloads: its issuer has to get another root';
const NAMESPACE_KEY = 'Namespace/';

export async function openKubernetes(
  config: ControllerConfig,
  settings: KubernetesSettings,
  around: Surroundings,
): Promise<Platform> {
  const context = openContext(settings, around);
  // A folder that the chart mounts goes before Secrets that are read by the API.
  const folder = config.cacertsDir === '' ? undefined : await openAuthority(config, around.clock);
  return new KubernetesPlatform(config, settings, { around, context, folder });
}

class KubernetesPlatform implements Platform {
  readonly source: ConfigSource;
  readonly verifier: TokenVerifier;
  readonly authority: CertificateAuthority;
  readonly issuer: CertificateIssuer;
  readonly waypoints: WaypointRunner;
  readonly #config: ControllerConfig;
  readonly #settings: KubernetesSettings;
  readonly #around: Surroundings;
  readonly #context: KubernetesContext;
  readonly #source: KubernetesSource;
  readonly #lastAccepted: LastAccepted;
  /** Undefined: the CA is in a folder. */
  readonly #secret: SecretAuthority | undefined;
  /** Undefined: the CA here signs for workloads too. */
  readonly #outside: CertManagerIssuer | undefined;
  readonly #provisioner: WaypointProvisioner;
  readonly #metrics: DutyMetrics;
  readonly #closers: (() => Promise<void>)[] = [];
  #isStopped = false;
  #onWaypoint: (waypoint: string) => void = () => undefined;
  #onProblems: (problems: readonly string[]) => void = () => undefined;

  constructor(
    config: ControllerConfig,
    settings: KubernetesSettings,
    given: {
      readonly around: Surroundings;
      readonly context: KubernetesContext;
      readonly folder: CertificateAuthority | undefined;
    },
  ) {
    const { around, context, folder } = given;
    this.#config = config;
    this.#settings = settings;
    this.#around = around;
    this.#context = context;
    this.#metrics = createDutyMetrics(around.registry);
    this.#lastAccepted = new LastAccepted(context);
    this.#source = new KubernetesSource({ context, lastAccepted: this.#lastAccepted });
    this.source = this.#source;
    this.verifier = new TokenReviewVerifier({ client: context.client, clock: context.clock });
    this.#secret =
      folder === undefined
        ? new SecretAuthority({
            context,
            secretName: settings.caSecret,
            trustDomain: config.trustDomain,
            defaultTtlSeconds: config.certTtlSeconds,
            onProblem: (problem) => this.#onProblems(problem === undefined ? [] : [problem]),
          })
        : undefined;
    this.authority = folder ?? required(this.#secret).authority;
    this.#outside =
      settings.certManagerIssuer === undefined
        ? undefined
        : new CertManagerIssuer({
            context,
            issuer: settings.certManagerIssuer,
            trustDomain: config.trustDomain,
            defaultTtlSeconds: config.certTtlSeconds,
          });
    this.issuer = this.#outside ?? this.authority;
    this.#provisioner = new WaypointProvisioner({
      context,
      settings: waypointSettings(config, settings),
      onChange: (waypoint) => this.#onWaypoint(waypoint),
    });
    this.waypoints = {
      set: (waypoints: ReadonlyMap<string, WaypointSpec>) => this.#provisioner.set(waypoints),
      stop: () => Promise.resolve(),
    };
  }

  async open(onProblems: (problems: readonly string[]) => void): Promise<void> {
    this.#context.discovery.start();
    this.#onProblems = onProblems;
    this.#secret?.start();
    try {
      await this.#secret?.whenOpen();
    } catch (error) {
      // Stopped before the CA was there: there is nothing to serve.
      if (!this.#isStopped) throw error;
    }
    this.#outside?.start();
    this.#onProblems = () => undefined;
  }

  /** The cluster itself keeps what matters. */
  kept<T>(_name: KeptName): Kept<T> {
    return NOTHING_KEPT;
  }

  async run(parts: Parts, signal: AbortSignal): Promise<void> {
    if (this.#secret === undefined) this.#watchFolder(signal);
    const status = this.#statusDuty(parts);
    const roots = this.#rootDistribution(parts);
    const duties: readonly LeaderDuty[] = [
      this.#lastAccepted,
      this.#provisioner,
      status,
      new GatewayClassDuty({ context: this.#context }),
      this.#eventDuty(parts),
      roots,
      ...(await this.#webhook()),
      ...(this.#secret === undefined ? [] : [this.#rootRenewal()]),
      ...(this.#outside === undefined ? [] : [this.#outside]),
      this.#nodeTaint(),
    ];
    const { revision } = this.#settings;
    const leadership = new Leadership(this.#context, { revision, duties });
    this.#closers.unshift(async () => await leadership.stop());
    leadership.start();
  }

  caRotation({ proxies }: Pick<Parts, 'proxies'>): CaRotation {
    const { cacertsDir, trustDomain } = this.#config;
    const { caSecret: secretName } = this.#settings;
    const trust = (): ReturnType<typeof proxies.trust> => proxies.trust();
    const { certManagerIssuer: outside } = this.#settings;
    if (this.#secret !== undefined && outside === undefined) {
      return new RootRotation({ context: this.#context, secretName, trustDomain, proxies: trust });
    }
    return fixedCa(() =>
      describeFixed({
        authority: this.authority,
        ...(outside === undefined
          ? { source: `folder ${cacertsDir}`, why: MOUNTED_CA }
          : { source: `${outside.kind} ${outside.name} of cert-manager`, why: FOREIGN_CA }),
        proxies: trust().length,
      }),
    );
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const close of this.#closers.splice(0)) await close();
    await this.#outside?.stop();
    await this.#secret?.stop();
    await this.#context.discovery.stop();
    this.#context.http.close();
  }

  #watchFolder(signal: AbortSignal): void {
    const { log } = this.#around;
    void this.authority.watch({
      signal,
      onError: (error) => log.error('the CA folder cannot be used', { error }),
    });
  }

  #statusDuty({ statuses }: Parts): StatusDuty {
    const duty = new StatusDuty({
      context: this.#context,
      book: statuses,
      objectOf: (key) => this.#source.objectOf(key),
      waypointOf: (waypoint) => this.#provisioner.stateOf(waypoint),
    });
    statuses.onChange((keys) => duty.changed(keys));
    this.#onWaypoint = (waypoint) => duty.changed([`Gateway/${waypoint}`]);
    return duty;
  }

  #eventDuty({ statuses, store, captures }: Parts): EventDuty {
    const { clusterId } = this.#config;
    const duty = new EventDuty({
      context: this.#context,
      book: statuses,
      regardedOf: (key) => {
        const object = this.#source.objectOf(key);
        if (object === undefined) return undefined;
        const { gvr, ref, uid, kind } = object;
        return {
          apiVersion: gvr.group === '' ? gvr.version : `${gvr.group}/${gvr.version}`,
          kind,
          namespace: ref.namespace ?? '',
          name: ref.name,
          uid,
        };
      },
      uncaptured: () =>
        uncapturedPods({
          objects: store.objects,
          capturedOn: (node) => captures.of(node),
          clusterId,
          revision: store.options.revision,
        }),
      metrics: this.#metrics,
    });
    statuses.onChange((keys) => duty.changed(keys));
    return duty;
  }

  #rootDistribution({ store }: Parts): RootDistribution {
    const duty = new RootDistribution({
      context: this.#context,
      configMapName: this.#settings.rootConfigMap,
      root: this.#outside === undefined ? this.authority : bothRoots(this.#outside, this.authority),
      namespaces: {
        list: () =>
          [...store.objects.values()].flatMap(({ kind, metadata }) =>
            kind === 'Namespace' ? [metadata.name] : [],
          ),
        has: (name) => store.objects.has(`${NAMESPACE_KEY}${name}`),
      },
    });
    store.onChange(({ causes }) => {
      for (const key of causes) {
        if (key.startsWith(NAMESPACE_KEY)) duty.touch(key.slice(NAMESPACE_KEY.length));
      }
    });
    return duty;
  }

  async #webhook(): Promise<readonly LeaderDuty[]> {
    const { webhookAddress, service, namespace, revision } = this.#settings;
    const { clusterDomain, rootNamespace } = this.#config;
    if (webhookAddress === undefined) return [];
    const { clock, registry } = this.#around;
    const webhook = new KubernetesWebhook({
      authority: this.authority,
      names: serviceNames({ service, namespace, clusterDomain }),
      clock,
      log: this.#around.log.scoped('webhook'),
      registry,
      ...webhookAddress,
    });
    await webhook.start();
    this.#closers.push(async () => await webhook.stop());
    return [
      new WebhookDuty({
        context: this.#context,
        root: this.authority,
        rootNamespace,
        revision,
        target: { kind: 'service', name: service, port: WEBHOOK_SERVICE_PORT },
      }),
    ];
  }

  #rootRenewal(): LeaderDuty {
    return new OwnRootRenewal({
      context: this.#context,
      secretName: this.#settings.caSecret,
      trustDomain: this.#config.trustDomain,
    });
  }

  #nodeTaint(): LeaderDuty {
    return new NodeTaintDuty({
      context: this.#context,
      isEnabled: this.#settings.taintsNodes,
      daemonSet: AGENT,
      metrics: this.#metrics,
    });
  }
}

function waypointSettings(
  config: ControllerConfig,
  { waypoint, service, namespace, rootConfigMap }: KubernetesSettings,
): ConstructorParameters<typeof WaypointProvisioner>[0]['settings'] {
  const { rootNamespace, trustDomain, clusterDomain, clusterId, network, logLevels } = config;
  return {
    image: waypoint.image,
    imagePullPolicy: waypoint.pullPolicy,
    resources: waypoint.resources,
    controllerAddress: `https://${service}.${namespace}.svc:15012`,
    rootConfigMap,
    rootNamespace,
    trustDomain,
    clusterDomain,
    clusterId,
    network,
    logLevel: logLevels.toString(),
  };
}

function required<T>(value: T | undefined): T {
  if (value === undefined) throw new TypeError('neither a folder nor a Secret has the CA');
  return value;
}
