/** All objects of an installation: by file of the chart, and rendered for given values. */
import {
  agentDaemonSet,
  agentServiceAccount,
  cleanupDaemonSet,
  criticalPodsQuota,
} from './objects/agent.ts';
import { alertsConfigMap, alertsPrometheusRule } from './objects/alerts.ts';
import {
  controllerAutoscaler,
  controllerDeployment,
  controllerDisruptionBudget,
  controllerService,
  controllerServiceAccount,
} from './objects/controller.ts';
import { dashboardConfigMap } from './objects/dashboard.ts';
import {
  agentNetworkPolicy,
  controllerNetworkPolicy,
  installNamespace,
  strictPeerAuthentication,
} from './objects/extras.ts';
import {
  controllerClusterRole,
  controllerClusterRoleBinding,
  controllerRole,
  controllerRoleBinding,
} from './objects/rbac.ts';
import { type RenderContext, resolve, toPlain } from './resolve.ts';
import { type Node, value, when } from './symbolic.ts';
import { isMap, type JsonMap } from './values.ts';

/** In the order in which they are applied. */
export const CHART_OBJECTS: Readonly<Record<string, () => readonly Node[]>> = {
  'accounts.yaml': () => [controllerServiceAccount(), agentServiceAccount()],
  'rbac.yaml': () => [
    controllerClusterRole(),
    controllerClusterRoleBinding(),
    controllerRole(),
    controllerRoleBinding(),
  ],
  'resource-quota.yaml': () => [when(value('resourceQuota.enabled'), criticalPodsQuota())],
  'network-policy.yaml': () => [controllerNetworkPolicy(), agentNetworkPolicy()],
  'controller.yaml': () => [
    controllerService(),
    controllerDeployment(),
    controllerDisruptionBudget(),
    controllerAutoscaler(),
  ],
  'node-agent.yaml': () => [agentDaemonSet()],
  'strict.yaml': () => [strictPeerAuthentication()],
  'monitoring.yaml': () => [alertsConfigMap(), alertsPrometheusRule(), dashboardConfigMap()],
};

/** An object as the API server takes it. */
export interface Manifest extends JsonMap {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: JsonMap & { readonly name: string };
}

/** With comments, for people. The namespace is first unless it is left out. */
export function renderCommented(
  context: RenderContext,
  { withNamespace }: { readonly withNamespace: boolean },
): readonly Node[] {
  const nodes = Object.values(CHART_OBJECTS).flatMap((make) => make());
  return (withNamespace ? [installNamespace(), ...nodes] : nodes).flatMap((node) => {
    const resolved = resolve(node, context);
    return resolved === undefined ? [] : [resolved];
  });
}

/** What the chart renders for the same values. */
export function renderObjects(context: RenderContext): readonly Manifest[] {
  return renderCommented(context, { withNamespace: false }).map(toManifest);
}

export function renderNamespace(context: RenderContext): Manifest {
  return toManifest(resolve(installNamespace(), context) ?? {});
}

export function renderCleanup(context: RenderContext): Manifest {
  return toManifest(resolve(cleanupDaemonSet(), context) ?? {});
}

function toManifest(node: Node): Manifest {
  const plain = toPlain(node);
  if (
    isMap(plain) &&
    typeof plain['apiVersion'] === 'string' &&
    typeof plain['kind'] === 'string'
  ) {
    const metadata = plain['metadata'];
    if (isMap(metadata) && typeof metadata['name'] === 'string') return plain as Manifest;
  }
  throw new TypeError(`no object: ${JSON.stringify(plain).slice(0, 80)}`);
}
