/** What the holder of the lease does besides serving, made of the parts that every replica has. */
import type { ControllerConfig } from '../config.ts';
import type { DutyMetrics } from '../metrics.ts';
import type { Parts } from '../parts.ts';
import type { KubernetesContext } from './context.ts';
import { EventDuty } from './events/event-duty.ts';
import { uncapturedPods } from './events/uncaptured-pods.ts';
import type { LeaderDuty } from './leader-duty.ts';
import { NodeTaintDuty } from './nodes/node-taint-duty.ts';
import type { WaypointProvisioner } from './provision/waypoint-provisioner.ts';
import type { KubernetesSettings } from './settings.ts';
import type { KubernetesSource } from './source/kubernetes-source.ts';
import type { LastAccepted } from './source/last-accepted.ts';
import { GatewayClassDuty } from './status/gateway-class-duty.ts';
import { StatusDuty } from './status/status-duty.ts';
import type { ClusterTrust } from './trust/cluster-trust.ts';
import { RootDistribution } from './trust/root-distribution.ts';
import { WebhookDuty } from './trust/webhook-duty.ts';

/** Of the agents' DaemonSet, as the chart names it. */
const AGENT = 'ambit-node-agent';
const WEBHOOK_SERVICE_PORT = 443;
const NAMESPACE_KEY = 'Namespace/';

export interface DutyNeeds {
  readonly context: KubernetesContext;
  readonly config: ControllerConfig;
  readonly settings: KubernetesSettings;
  readonly metrics: DutyMetrics;
  readonly source: KubernetesSource;
  readonly lastAccepted: LastAccepted;
  readonly provisioner: WaypointProvisioner;
  /** What is known of the parts of a waypoint (`namespace/name`) has changed. */
  readonly onWaypoint: (listener: (waypoint: string) => void) => void;
  readonly trust: ClusterTrust;
  readonly parts: Pick<Parts, 'statuses' | 'store' | 'captures' | 'bypasses'>;
}

export function leaderDuties(needs: DutyNeeds): readonly LeaderDuty[] {
  const { context, settings, metrics, lastAccepted, provisioner, trust } = needs;
  return [
    lastAccepted,
    provisioner,
    statusDuty(needs),
    new GatewayClassDuty({ context }),
    eventDuty(needs),
    rootDistribution(needs),
    ...(settings.webhookAddress === undefined ? [] : [webhookDuty(needs)]),
    ...trust.duties(),
    new NodeTaintDuty({ context, isEnabled: settings.taintsNodes, daemonSet: AGENT, metrics }),
  ];
}

function statusDuty({ context, source, provisioner, onWaypoint, parts }: DutyNeeds): StatusDuty {
  const { statuses } = parts;
  const duty = new StatusDuty({
    context,
    book: statuses,
    objectOf: (key) => source.objectOf(key),
    waypointOf: (waypoint) => provisioner.stateOf(waypoint),
  });
  statuses.onChange((keys) => duty.changed(keys));
  onWaypoint((waypoint) => duty.changed([`Gateway/${waypoint}`]));
  return duty;
}

function eventDuty({ context, config, source, metrics, parts }: DutyNeeds): EventDuty {
  const { statuses, store, captures, bypasses } = parts;
  const duty = new EventDuty({
    context,
    book: statuses,
    regardedOf: (key) => {
      const object = source.objectOf(key);
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
        isCaptured: (node, uid) => captures.isCaptured(node, uid),
        isBypassed: (namespace) => bypasses.open.has(namespace),
        clusterId: config.clusterId,
        revision: store.options.revision,
      }),
    metrics,
  });
  statuses.onChange((keys) => duty.changed(keys));
  return duty;
}

function rootDistribution({ context, settings, trust, parts }: DutyNeeds): RootDistribution {
  const { store } = parts;
  const duty = new RootDistribution({
    context,
    configMapName: settings.rootConfigMap,
    root: trust.root,
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

function webhookDuty({ context, config, settings, trust }: DutyNeeds): WebhookDuty {
  return new WebhookDuty({
    context,
    root: trust.authority,
    rootNamespace: config.rootNamespace,
    revision: settings.revision,
    target: { kind: 'service', name: settings.service, port: WEBHOOK_SERVICE_PORT },
  });
}
