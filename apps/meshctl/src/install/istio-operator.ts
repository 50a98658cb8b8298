/**
 * Reads an IstioOperator (install.istio.io/v1alpha1) or Helm values of Istio's charts as values of ours.
 *
 * What has a counterpart is taken over; everything else is listed by path, so that nobody believes in a setting that
 * does nothing here.
 */
import { UserError } from '../errors.ts';
import { isMap, type JsonMap, type JsonValue, mapOf, mergeValues } from './values.ts';

export interface MappedOperator {
  readonly profile: string | undefined;
  readonly namespace: string | undefined;
  readonly values: JsonMap;
  /** Of the file, with why. */
  readonly ignored: readonly { readonly path: string; readonly why: string }[];
}

type Rule =
  | { readonly kind: 'take'; readonly to: string; readonly as?: (found: JsonValue) => JsonValue }
  | { readonly kind: 'ignore'; readonly why: string };

const take = (to: string, as?: (found: JsonValue) => JsonValue): Rule => ({
  kind: 'take',
  to,
  ...(as === undefined ? {} : { as }),
});
const ignore = (why: string): Rule => ({ kind: 'ignore', why });

const NO_SIDECARS = 'there are no sidecars to size or inject';
const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600 };

/** Profiles of Istio by the one of ours that is nearest. */
const PROFILES: Readonly<Record<string, string>> = {
  default: 'default',
  ambient: 'default',
  stable: 'default',
  demo: 'demo',
  minimal: 'minimal',
};

/** The longest path that fits decides. Below `spec`; `*` is any key. */
const RULES: Readonly<Record<string, Rule>> = {
  hub: ignore("Istio's images are not used; set hub to where yours are"),
  tag: ignore("Istio's images are not used; set tag"),
  revision: take('revision'),
  'meshConfig.trustDomain': take('trustDomain'),
  'meshConfig.rootNamespace': take('rootNamespace'),
  'meshConfig.accessLogFile': ignore('access logs go to standard output'),
  'meshConfig.enableAutoMtls': ignore('traffic between enrolled pods is always mutual TLS'),
  meshConfig: ignore(
    'not a setting of Ambit; use Telemetry, DestinationRule or ServiceEntry objects',
  ),
  'values.global.imagePullPolicy': take('imagePullPolicy'),
  'values.global.imagePullSecrets': take('imagePullSecrets', namesToMaps),
  'values.global.network': take('network'),
  'values.global.multiCluster.clusterName': take('clusterId'),
  'values.global.proxy.clusterDomain': take('clusterDomain'),
  'values.global.logging.level': take('logLevel', logLevel),
  'values.global.proxy': ignore(NO_SIDECARS),
  'values.global.proxy_init': ignore(NO_SIDECARS),
  'values.global.hub': ignore("Istio's images are not used; set hub"),
  'values.global.tag': ignore("Istio's images are not used; set tag"),
  'values.sidecarInjectorWebhook': ignore(NO_SIDECARS),
  'values.cni.cniBinDir': take('cni.binDir'),
  'values.cni.cniConfDir': take('cni.confDir'),
  'values.cni.cniNetnsDir': take('cni.netnsDir'),
  'values.cni.ambient.dnsCapture': take('agent.dnsCapture'),
  'values.cni.ambient.ipv6': take('agent.ipv6'),
  'values.cni': ignore('the agent brings its own CNI plugin'),
  'values.pilot.replicaCount': take('controller.replicas'),
  'values.pilot.autoscaleEnabled': take('controller.hpa.enabled'),
  'values.pilot.autoscaleMin': take('controller.hpa.minReplicas'),
  'values.pilot.autoscaleMax': take('controller.hpa.maxReplicas'),
  'values.pilot.cpu.targetAverageUtilization': take('controller.hpa.cpuPercent'),
  'values.pilot.resources': take('controller.resources'),
  'values.pilot.nodeSelector': take('controller.nodeSelector'),
  'values.pilot.tolerations': take('controller.tolerations'),
  'values.pilot.podAnnotations': take('controller.podAnnotations'),
  'values.pilot.taint.enabled': take('taint.enabled'),
  'values.pilot.env.DEFAULT_WORKLOAD_CERT_TTL': take('ca.certTtlSeconds', seconds),
  'values.pilot.env.CA_TRUSTED_NODE_ACCOUNTS': take('ca.trustedNodeAccounts'),
  'values.pilot.trustedZtunnelNamespace': ignore('name the account: ca.trustedNodeAccounts'),
  'values.ztunnel.resources': take('agent.resources'),
  'values.ztunnel.nodeSelector': take('agent.nodeSelector'),
  'values.ztunnel.tolerations': take('agent.tolerations'),
  'values.ztunnel.podAnnotations': take('agent.podAnnotations'),
  'values.ztunnel.terminationGracePeriodSeconds': take('agent.terminationGracePeriodSeconds'),
  'values.gateways': ignore('gateways are Gateway objects'),
  'components.pilot.k8s.replicaCount': take('controller.replicas'),
  'components.pilot.k8s.resources': take('controller.resources'),
  'components.pilot.k8s.nodeSelector': take('controller.nodeSelector'),
  'components.pilot.k8s.tolerations': take('controller.tolerations'),
  'components.pilot.k8s.podAnnotations': take('controller.podAnnotations'),
  'components.pilot.k8s.hpaSpec.minReplicas': take('controller.hpa.minReplicas'),
  'components.pilot.k8s.hpaSpec.maxReplicas': take('controller.hpa.maxReplicas'),
  'components.ztunnel.k8s.resources': take('agent.resources'),
  'components.ztunnel.k8s.nodeSelector': take('agent.nodeSelector'),
  'components.ztunnel.k8s.tolerations': take('agent.tolerations'),
  'components.ingressGateways': ignore('gateways are Gateway objects'),
  'components.egressGateways': ignore('gateways are Gateway objects'),
  'components.cni.enabled': ignore('the agent brings its own CNI plugin'),
  addonComponents: ignore('add-ons are not installed'),
  unvalidatedValues: ignore('values that Istio itself does not check are not taken over'),
};

export function isIstioOperator(document: unknown): document is JsonMap {
  return isMap(document) && document['kind'] === 'IstioOperator';
}

/** Throws a UserError if its shape is not that of an IstioOperator. */
export function mapIstioOperator(document: JsonMap, source: string): MappedOperator {
  const spec = document['spec'] ?? {};
  if (!isMap(spec)) {
    throw new UserError(`cannot read the IstioOperator in ${source}`, {
      why: `spec is ${JSON.stringify(spec).slice(0, 80)}, allowed: a map`,
      fix: 'put profile, meshConfig, components and values below spec',
    });
  }
  const { profile, namespace, ...settings } = spec;
  const layers: JsonMap[] = [];
  const ignored: { path: string; why: string }[] = [];
  visit(settings, [], (path, found) => {
    const rule = ruleOf(path);
    if (rule?.kind === 'take') {
      layers.push(mapOf(rule.to.split('.'), rule.as === undefined ? found : rule.as(found)));
      return true;
    }
    if (isMap(found) && Object.keys(found).length > 0 && hasRuleBelow(path)) return false;
    if (isMap(found) && Object.keys(found).length > 0 && rule === undefined) return false;
    ignored.push({
      path: `spec.${path.join('.')}`,
      why: rule?.why ?? 'there is no such setting in Ambit',
    });
    return true;
  });
  const name = typeof profile === 'string' ? profile : undefined;
  if (name !== undefined && PROFILES[name] === undefined) {
    ignored.push({ path: 'spec.profile', why: `Ambit has no profile like "${name.slice(0, 80)}"` });
  }
  return {
    profile: name === undefined ? undefined : PROFILES[name],
    namespace: typeof namespace === 'string' ? namespace : undefined,
    values: mergeValues(...layers),
    ignored,
  };
}

function visit(
  map: JsonMap,
  prefix: readonly string[],
  isDone: (path: readonly string[], found: JsonValue) => boolean,
): void {
  for (const [key, found] of Object.entries(map)) {
    const path = [...prefix, key];
    if (!isDone(path, found) && isMap(found)) visit(found, path, isDone);
  }
}

/** Exactly for what is taken; for what is ignored, of the nearest folder. */
function ruleOf(path: readonly string[]): Rule | undefined {
  const exact = RULES[path.join('.')];
  if (exact !== undefined) return exact;
  for (let length = path.length - 1; length > 0; length -= 1) {
    const rule = RULES[path.slice(0, length).join('.')];
    if (rule?.kind === 'ignore') return rule;
  }
  return undefined;
}

function hasRuleBelow(path: readonly string[]): boolean {
  const prefix = `${path.join('.')}.`;
  return Object.keys(RULES).some((known) => known.startsWith(prefix));
}

function namesToMaps(found: JsonValue): JsonValue {
  return Array.isArray(found)
    ? found.map((name: JsonValue) => (typeof name === 'string' ? { name } : name))
    : found;
}

/** `default:info,ads:debug` of Istio; scopes have other names here. */
function logLevel(found: JsonValue): JsonValue {
  const match = /(?:^|,)default:([a-z]+)/.exec(String(found));
  return match?.[1] ?? found;
}

function seconds(found: JsonValue): JsonValue {
  const match = /^(\d+)([smh])$/.exec(String(found));
  return match === null ? found : Number(match[1]) * (SECONDS[match[2] ?? ''] ?? 1);
}
